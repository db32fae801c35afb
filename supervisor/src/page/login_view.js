// The form for a token.

import { el, text } from "./dom.js";
import { login } from "./session.js";

/** Builds the form; `onDone()` once somebody is logged in. `why`: what to say first. */
export function loginView(parent, why, onDone) {
  const token = el("input", { type: "password", name: "token", required: true, autocomplete: "current-password", id: "token", spellcheck: "false" });
  const said = el("p", { class: "bad-text", role: "alert" });
  const button = el("button", { type: "submit", class: "primary" }, "Log in");
  const form = el(
    "form",
    { class: "login" },
    el("h1", {}, "Log in"),
    el("label", { class: "field" }, el("span", {}, "API token, or a JWT of the platform"), token),
    said,
    button,
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
  token.focus();
  return { title: "Log in", focus: () => token.focus(), leave() {} };
}
