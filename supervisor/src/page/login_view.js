// The form for a token.

import { el, text } from "./dom.js";
import { login } from "./session.js";

/**
 * Builds the form; `onDone()` once somebody is logged in. `why`: what to say first. `link`: the token of a login link, and who
 * is logged in already, with `stay()` for whoever wants to remain so. Nobody is logged in by a link alone: it may be
 * another's, who would like to see what is done in their name.
 */
export function loginView(parent, why, onDone, link = null) {
  const token = el("input", { type: "password", name: "token", required: true, autocomplete: "current-password", id: "token", spellcheck: "false" });
  const said = el("p", { class: "bad-text", role: "alert" });
  const button = el("button", { type: "submit", class: "primary" }, link ? "Log in with the link's token" : "Log in");
  const stay = link?.who && el("button", { type: "button", on: { click: link.stay } }, "Stay logged in as before");
  const asked = link && el("p", { class: "asked" }, link.who
    ? `You are logged in as ${link.who.actor} (${link.who.role}). Logging in with the link's token ends that session.`
    : "You came by a link with a token. Use it only if you know who made it.");
  const form = el(
    "form",
    { class: "login" },
    el("h1", {}, "Log in"),
    asked,
    el("label", { class: "field" }, el("span", {}, "API token, or a JWT of the platform"), token),
    said,
    button,
    stay,
    el("p", { class: "quiet" }, el("code", {}, "etl-supervisor token create --name me --role admin"), " makes a token on the machine."),
  );
  text(said, why ?? "");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    text(said, "");
    try {
      await login(token.value.trim());
      onDone();
    } catch (error) {
      text(said, error.message);
      token.select();
    } finally {
      button.disabled = false;
    }
  });
  parent.append(form);
  // As a property: an attribute would be part of the document.
  if (link) token.value = link.token;
  const focus = () => (stay || (link ? button : token)).focus();
  focus();
  return { title: "Log in", focus, leave() {} };
}
