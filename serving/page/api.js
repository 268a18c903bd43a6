// The API's answers, and what it says when it has none.

const RETRY_SECONDS = 5;
const AWAY = "The server does not answer. This page goes on asking.";

export class Refused extends Error {
  constructor(detail, retrySeconds) {
    super(detail);
    this.retrySeconds = retrySeconds;
  }
}

async function ask(path) {
  let response, answer;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
    answer = await response.json();
  } catch {
    throw new Refused(AWAY, RETRY_SECONDS);
  }
  if (response.ok) return answer;
  const seconds = Number(response.headers.get("Retry-After"));
  throw new Refused(answer.detail ?? AWAY, seconds > 0 ? seconds : RETRY_SECONDS);
}

export const readiness = () => ask("readyz");
export const champion = () => ask("champion");
export const counters = () => ask("counters");
export const forecast = (counter, days) => ask(`forecast/${encodeURIComponent(counter)}?days=${days}`);
export const counts = (counter, days) => ask(`counts/${encodeURIComponent(counter)}?days=${days}`);
