// The end of a tenant's log, followed while somebody can see it. It holds a bounded number of lines, whatever a worker writes.

import { WORKERS, query, send } from "./api.js";
import { el, text } from "./dom.js";
import { plural } from "./format.js";
import { readable } from "./log_line.js";
import { panel } from "./panel.js";
import { whenHidden, whenSeen } from "./seen.js";

const FIRST = 200;
const MOST = 3000;
// While it pauses, so much is kept for later.
const HELD = 3000;
const DELAYS = [500, 1500, 4000];

/** The panel. */
export function logs(tenant) {
  const box = el("div", { class: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Log" });
  const pause = el("button", { type: "button", "aria-pressed": "false", on: { click: toggle } }, "Pause");
  const bottom = el("button", { type: "button", hidden: true, on: { click: () => down() } }, "To the end");
  const said = el("span", { class: "quiet small", role: "status" });
  const element = panel("logs", "Log", el("span", { class: "row" }, said, bottom, pause), box);
  let aborter = new AbortController();
  let left = false;
  // What is shown is from an earlier connection, and this one begins with the same lines.
  let again = false;
  let paused = false;
  let waiting = [];
  let scheduled = false;
  let atEnd = true;

  function toggle() {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    text(pause, paused ? "Go on" : "Pause");
    if (!paused) schedule();
    tell();
  }
  function tell() {
    text(said, paused && waiting.length > 0 ? `${plural(waiting.length, "new line")}${waiting.length >= HELD ? " or more" : ""}` : "");
  }
  function down() {
    box.scrollTop = box.scrollHeight;
  }
  box.addEventListener("scroll", () => {
    atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
    bottom.hidden = atEnd;
  }, { passive: true });

  function schedule() {
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => requestAnimationFrame(flush), 60);
  }
  function flush() {
    scheduled = false;
    if (paused || waiting.length === 0) return tell();
    const fresh = waiting.slice(-MOST);
    waiting = [];
    const place = box.scrollTop;
    const [follows, anew] = [atEnd, again];
    if (anew) box.replaceChildren();
    again = false;
    box.append(...fresh.map(shown));
    while (box.children.length > MOST) box.firstChild.remove();
    if (follows) down();
    else if (anew) box.scrollTop = place;
  }
  function shown(line) {
    const { level, at, head, rest } = readable(line);
    return el("div", { data: { level }, title: at }, head && el("span", { class: "quiet" }, `${head} `), rest);
  }

  async function follow() {
    aborter = new AbortController();
    const lines = Math.max(FIRST, Math.min(MOST, box.children.length + waiting.length));
    const path = `${WORKERS}/logs${query({ tenant_id: tenant, lines, follow: true })}`;
    const response = await send("GET", path, { signal: aborter.signal });
    waiting = [];
    again = box.children.length > 0;
    // What was said of the connection before is over.
    tell();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      // A line without end would be a way to fill this page's memory.
      if (rest.length > 65536) lines.push(rest), (rest = "");
      waiting.push(...lines);
      if (waiting.length > HELD) waiting = waiting.slice(-HELD);
      if (paused) tell();
      else schedule();
    }
  }
  async function forever() {
    for (let failures = 0; !left; failures += 1) {
      await whenSeen();
      if (left) return;
      try {
        await follow();
        failures = 0;
      } catch (error) {
        if (error.status === 401 || error.status === 403) return;
        if (document.hidden) continue;
        if (error.status > 0) text(said, error.message);
      }
      await new Promise((resolve) => setTimeout(resolve, DELAYS[Math.min(failures, DELAYS.length - 1)]));
    }
  }
  const stop = whenHidden(() => aborter.abort());
  const leave = () => {
    left = true;
    stop();
    aborter.abort();
  };
  forever();
  return { element, leave };
}
