// Who is logged in, and what that role may do. This only decides what is shown: the server decides what is done.

import { call, useCsrf } from "./api.js";

const PATH = "/api/v1/session";
let current = null;

/** The session, or `null`. */
export const session = () => current;

/** What the role may do, for what to offer. */
export const may = {
  control: () => current !== null && current.role !== "viewer",
  readLetters: () => current !== null && current.role !== "viewer",
  everybody: () => current?.role === "admin",
};

/** From now on this is the session. */
export function keep(answer) {
  current = answer;
  useCsrf(answer?.csrf_token ?? null);
  return answer;
}

/** The session of the cookie as the server knows it, whatever is shown here; `null` where there is none. */
export async function lookUp() {
  try {
    return await call("GET", PATH, { quiet401: true });
  } catch (problem) {
    if (problem.status === 401) return null;
    throw problem;
  }
}

/** Takes up the session of the cookie; `null` where there is none. */
export const resume = async () => keep(await lookUp());

/** Logs in with a token. */
export async function login(token) {
  return keep(await call("POST", PATH, { body: { token }, quiet401: true }));
}

/** Ends the session on the server too; what is to be said of it. Where that fails, it is still there. */
export async function logout() {
  let words = null;
  try {
    await call("DELETE", PATH, { quiet401: true });
  } catch (problem) {
    // It has ended already, or until a restart at least.
    if (problem.code === "session_not_written") words = problem.message;
    else if (problem.status !== 401) throw problem;
  }
  keep(null);
  return words;
}

/** The session has ended by itself. */
export function forget() {
  keep(null);
}

/** The token of a login link. It is taken out of the address at once, so that no history and no bookmark keeps it. */
export function tokenOfLink() {
  const match = /^#login=(.+)$/.exec(location.hash);
  if (!match) return null;
  history.replaceState(null, "", location.pathname);
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}
