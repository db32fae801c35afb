// Puts the parts together: who is logged in, which view is shown, and the connection that keeps it alive.

import { onExchanged, onSignedOut } from "./api.js";
import { byId, el, text } from "./dom.js";
import * as fleet from "./fleet.js";
import { fleetView } from "./fleet_view.js";
import { listen, showKeys } from "./keys.js";
import { connect } from "./live.js";
import { loginView } from "./login_view.js";
import { announce, failure, notice } from "./notices.js";
import { settled } from "./panel.js";
import { showParts } from "./parts.js";
import { forget, keep, logout, lookUp, may, resume, session, tokenOfLink } from "./session.js";
import { tell } from "./telling.js";
import { tenantView } from "./tenant_view.js";

// A connection that comes back within this time is not worth a word.
const UNNOTICED = 800;

const content = byId("content");
let view = null;
let live = null;
let lost = 0;
let away = false;

function show(build, ...more) {
  const tenant = tenantOfAddress();
  view?.leave(view.tenant ?? tenant);
  content.replaceChildren();
  content.scrollTop = 0;
  view = build(content, ...more);
  document.title = `${view.title} · etl-supervisor`;
}

function tenantOfAddress() {
  const match = /^#\/tenant\/(\d+)$/.exec(location.hash);
  return match ? Number(match[1]) : null;
}

/** The view that the address names. Whoever has one tenant only sees its page. */
function route() {
  if (!session()) return;
  const tenant = session().tenant_id ?? tenantOfAddress();
  content.className = tenant === null ? "wide" : "";
  if (tenant !== null) show(tenantView, tenant);
  else show(fleetView);
}

function signIn(why) {
  live?.close();
  live = null;
  fleet.clear();
  banner(null);
  header();
  content.className = "";
  show(loginView, why, enter);
}

/** Asks whether the token of a link is to be used. A session goes on meanwhile. */
function offer(token) {
  header();
  content.className = "";
  show(loginView, null, enter, { token, who: session(), stay: live ? route : enter });
}

/** Somebody is logged in, perhaps instead of somebody else. */
function enter() {
  fleet.clear();
  header();
  route();
  live?.close();
  live = connect({
    onOpen() {
      clearTimeout(lost);
      if (away) announce("The connection is back.");
      away = false;
      banner(null);
      checkSession();
      load();
      showParts();
      dispatchEvent(new Event("live:open"));
    },
    onLost(why) {
      if (away) return;
      clearTimeout(lost);
      lost = setTimeout(() => {
        away = true;
        banner(`Connection lost${why ? ` (${why})` : ""}. What is shown may be old; trying again …`);
        announce("Connection lost.");
      }, UNNOTICED);
    },
    onRows: fleet.apply,
    onEvent(event) {
      if (event.kind === "tenants") reload();
      if (event.kind === "part") showParts();
      tell(event);
      dispatchEvent(new CustomEvent("live:event", { detail: event }));
    },
    onReset: load,
  });
}

/** All tabs share one cookie: somebody who logs in in another one takes the session of this one away. */
async function checkSession() {
  const before = session();
  // What cannot be asked now is asked again with the next connection.
  const now = await lookUp().catch(() => before);
  if (!before || session() !== before) return;
  if (!now) return ended();
  if (now.csrf_token === before.csrf_token) return;
  keep(now);
  notice(`You are logged in as ${now.actor} now: that was done in another tab`);
  enter();
}

function ended() {
  if (!session()) return;
  forget();
  signIn("The session has ended: please log in again.");
}

// Many tenants may come at once, with an event each.
const reload = settled(load);

async function load() {
  try {
    await fleet.load((overview) => live?.resumeFrom(overview.last_event_id));
  } catch (error) {
    // Of a connection that is lost the banner tells.
    if (error.status !== 401 && error.status !== 0) failure("The tenants could not be loaded", error);
  }
}

function header() {
  const who = session();
  byId("logout").hidden = byId("keys").hidden = !who;
  byId("parts").hidden = !who;
  const role = who && el("b", { class: "role" }, who.role);
  const where = who && (who.tenant_id === null ? " all tenants" : ` tenant ${who.tenant_id}`);
  byId("who").replaceChildren(...(who ? [role, where] : []));
  byId("who").title = who?.actor ?? "";
}

function banner(words) {
  byId("banner").hidden = words === null;
  text(byId("banner"), words ?? "");
}

byId("logout").addEventListener("click", async () => {
  try {
    signIn(await logout());
  } catch (error) {
    failure("You are still logged in: logging out has failed", error);
  }
});
byId("keys").addEventListener("click", showKeys);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
  view?.focus();
});
addEventListener("hashchange", () => {
  const token = tokenOfLink();
  if (token) return offer(token);
  route();
  view?.focus();
});
onSignedOut(ended);
onExchanged(checkSession);
listen(() => {
  if (session() && may.everybody() && tenantOfAddress() !== null) location.hash = "#/";
});

async function begin(token) {
  try {
    const who = await resume();
    if (token) offer(token);
    else if (who) enter();
    else signIn(null);
  } catch (error) {
    if (error.status === 0) setTimeout(() => begin(token), 1000);
    signIn(error.message);
  }
}

begin(tokenOfLink());
