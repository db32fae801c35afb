// The accounts that a tenant's workers log in with, and their rotation. No secret is ever shown: the API tells none.

import { get, post } from "./api.js";
import { ask } from "./dialog.js";
import { el } from "./dom.js";
import { time } from "./format.js";
import { failure, notice } from "./notices.js";
import { filling, panel, settled } from "./panel.js";
import { may } from "./session.js";

const PATH = "/api/v1/admin/credentials";

// For an admin the answer has every tenant's accounts: not more often than this.
const AGAIN = 10000;
// The word with which the journal tells of a rotation.
const ROTATION = "new secrets";

/** The panel. */
export function credentials(tenant) {
  const body = el("dl", { class: "pairs" });
  const rotate = may.control() && el("button", { type: "button", hidden: true, on: { click: change } }, "Rotate");
  const element = panel("credentials", "Credentials", rotate, body);
  const pair = (name, ...value) => [el("dt", {}, name), el("dd", {}, ...value)];

  const load = () =>
    filling(element, async () => {
      const status = await get(PATH);
      const own = status.tenants[tenant];
      const last = own?.last_rotation;
      // How it ends is no event.
      if (element.isConnected && own && own.state !== "ready" && own.state !== "missing") soon();
      if (rotate) rotate.hidden = status.mode !== "per_tenant";
      body.replaceChildren(
        ...pair("Mode", status.mode === "per_tenant" ? "an account of this tenant's own" : "shared by all tenants"),
        ...(own ? pair("State", own.state, own.detail ? `: ${own.detail}` : "") : []),
        ...(own?.generation ? pair("Generation", String(own.generation)) : []),
        ...(last ? pair("Last rotation", time(last.at), last.ok ? " in force" : ` failed: ${last.detail ?? ""}`) : []),
      );
    });
  const soon = settled(load, AGAIN);
  async function change() {
    const text = "Every worker is replaced by one with new secrets, which is ready before the old one leaves.";
    if (!(await ask({ title: `New secrets for tenant ${tenant}?`, text, confirm: "Rotate" }))) return;
    try {
      await post(`${PATH}/rotate`, { tenant_id: tenant });
      notice("Rotation begun");
    } catch (error) {
      failure("Rotate", error);
    }
    load();
  }
  const isRotation = (event) => event.kind === "order" && event.reason.includes(ROTATION);
  return { element, onOpen: load, onEvent: (event) => isRotation(event) && soon(), leave: soon.cancel };
}
