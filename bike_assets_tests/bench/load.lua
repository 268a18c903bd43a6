-- Posts the lines of a file, each a body of JSON, one after the other and over again.
local requests, position = {}, 0

function init(args)
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, body)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end
