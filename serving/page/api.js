// Requests to the API, and their errors.

const RETRY_SECONDS = 5;
const NO_ANSWER = "The server does not answer. This page keeps trying.";

export class RequestError extends Error {
  constructor(detail, retrySeconds) {
    super(detail);
    this.retrySeconds = retrySeconds;
  }
}

async function get(path) {
  let response, answer;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
    answer = await response.json();
  } catch {
    throw new RequestError(NO_ANSWER, RETRY_SECONDS);
  }
  if (response.ok) return answer;
  const seconds = Number(response.headers.get("Retry-After"));
  throw new RequestError(answer.detail ?? NO_ANSWER, seconds > 0 ? seconds : RETRY_SECONDS);
}

export const readiness = () => get("readyz");
export const champion = () => get("champion");
export const counters = () => get("counters");
export const forecast = (counter, days) => get(`forecast/${encodeURIComponent(counter)}?days=${days}`);
export const counts = (counter, days) => get(`counts/${encodeURIComponent(counter)}?days=${days}`);
