"""What `make bench` runs: seconds, peak memory and ratios of the parts of a pass, each in a process of its own.

`python -m bike_assets_tests.bench` measures; `measurements` lists the parts, `work` and `empty_run` are the children,
`children` starts and measures them, `figures` makes medians, ratios and aims of the samples, `results` holds them and
`report` shows and writes them. `serving` is the API under load: `servers` starts it beside others, `load` asks;
`scrapes` is the exporter, `scale` a city of ten times the size. The parent imports nothing heavy: a child's peak
memory is never below what its parent held when it was started.
"""
