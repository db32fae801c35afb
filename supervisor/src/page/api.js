// Requests to the admin API. The session is a cookie that scripts cannot read; what changes something carries the token
// that proves that this page sent it.

const TIMEOUT = 30000;
let csrf = null;
let signedOut = () => {};
let exchanged = () => {};

/** The token of the session; `null` after its end. */
export function useCsrf(token) {
  csrf = token;
}

/** Called whenever an answer says that nobody is logged in. */
export function onSignedOut(listener) {
  signedOut = listener;
}

/** Called whenever an answer says that the session is another one by now. */
export function onExchanged(listener) {
  exchanged = listener;
}

/** A refusal, with the server's own words. */
export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** Sends a request; the answer's JSON, with `withHeaders` `{ body, headers }`. */
export async function call(method, path, { body, headers = {}, withHeaders = false, quiet401 = false } = {}) {
  const response = await send(method, path, { body, headers, signal: AbortSignal.timeout(TIMEOUT), quiet401 });
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  return withHeaders ? { body: answer, headers: response.headers } : answer;
}

/** The answer itself, for streams. */
export async function send(method, path, { body, headers = {}, signal, quiet401 = false } = {}) {
  const request = { method, headers: { ...headers }, signal, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  if (csrf && method !== "GET") request.headers["X-CSRF-Token"] = csrf;
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "the supervisor does not answer");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && !quiet401) signedOut();
  if (problem.code === "csrf_invalid") exchanged();
  const detail = problem.detail ?? `the supervisor answered ${response.status}`;
  throw new Problem(response.status, problem.code ?? "unknown", detail);
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, { body });

/** "?a=1&b=2" of everything that has a value. */
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return text ? `?${text}` : "";
}

export const WORKERS = "/api/v1/admin/workers";
