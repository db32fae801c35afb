// The table of tenants. Only the lines that can be seen exist; they are moved and filled again when it scrolls, so a
// thousand tenants cost as much as thirty.

import { attribute, el } from "./dom.js";
import { line } from "./row.js";

// Lines beyond either edge, so that a quick scroll finds them filled.
const BEYOND = 6;
const NARROW = matchMedia("(max-width: 640px)");
// As style sheet table.css has them.
const height = () => (NARROW.matches ? 148 : 36);

/** The table. `columns`: [name, title]; `onSort(column)`, `onOpen(tenant)`, `onChoose(tenant, event)`. */
export function table({ columns, withControls, onSort, onOpen, onChoose }) {
  let rows = [];
  let chosen = new Set();
  let current = 0;
  let lines = [];
  const heads = columns.map(([name, title, sortable]) =>
    el(
      "div",
      { class: `cell ${name}`, role: "columnheader", data: { column: name } },
      sortable ? el("button", { type: "button", on: { click: () => onSort(name) } }, title) : title,
    ),
  );
  const head = el("div", { class: "line head", role: "row", "aria-rowindex": 1 }, heads);
  const space = el("div", { class: "space", role: "rowgroup" });
  const empty = el("p", { class: "quiet empty", hidden: true }, "No tenant matches.");
  const view = el("div", { class: "view" }, el("div", { role: "rowgroup" }, head), space, empty);
  const element = el("div", { class: `grid${withControls ? " controlled" : ""}`, role: "grid", "aria-label": "Tenants", "aria-multiselectable": withControls ? "true" : null }, view);

  function window() {
    const tall = height();
    const first = Math.max(0, Math.floor(view.scrollTop / tall) - BEYOND);
    const last = Math.min(rows.length, Math.ceil((view.scrollTop + view.clientHeight) / tall) + BEYOND);
    return { tall, first, last };
  }

  /** Brings lines and rows together again. */
  function render(changed = null) {
    const { tall, first, last } = window();
    space.style.height = `${rows.length * tall}px`;
    while (lines.length < last - first) {
      const fresh = line(withControls, onChoose);
      space.append(fresh.element);
      lines.push(fresh);
    }
    // Each line keeps its place modulo their number: scrolling by one line fills one line.
    const filled = new Set();
    for (let place = first; place < last; place += 1) {
      const one = lines[place % lines.length];
      const row = rows[place];
      filled.add(one);
      const same = one.place === place && one.tenant() === row.tenant_id && !one.element.hidden;
      if (same && changed !== null && !changed.has(row.tenant_id)) continue;
      one.place = place;
      one.element.hidden = false;
      one.show(row, place, place * tall, chosen.has(row.tenant_id));
      one.reachable(place === current);
    }
    for (const one of lines) {
      if (!filled.has(one)) one.element.hidden = true;
    }
    // There is always one line that Tab reaches.
    if (current < first || current >= last) lines.find((one) => one.place === first)?.reachable(true);
  }

  /** The line that the focus is in, whose it is, and which part of it has the focus. */
  function held() {
    const one = lines.find((one) => one.element.contains(document.activeElement));
    return one && { one, tenant: one.tenant(), part: Math.max(0, one.parts.indexOf(document.activeElement)) };
  }
  // Where a line is another tenant's by now, its button would do to that one what was meant for the one before.
  function leaveButton({ one, tenant, part }) {
    if (part > 0 && one.tenant() !== tenant) one.element.focus({ preventScroll: true });
  }

  function go(place, focus = true) {
    if (rows.length === 0) return;
    current = Math.min(Math.max(place, 0), rows.length - 1);
    const tall = height();
    const top = current * tall;
    const seen = view.clientHeight - head.offsetHeight;
    if (top < view.scrollTop) view.scrollTop = top;
    else if (top + tall > view.scrollTop + seen) view.scrollTop = top + tall - seen;
    render();
    if (focus) lines.find((one) => one.place === current && !one.element.hidden)?.element.focus({ preventScroll: true });
  }

  // In another order the keyboard stays on its tenant, not on its place.
  function follow(tenant) {
    const place = rows.findIndex((row) => row.tenant_id === tenant);
    current = place >= 0 ? place : Math.max(0, Math.min(current, rows.length - 1));
  }

  const page = () => Math.max(1, Math.floor(view.clientHeight / height()) - 2);
  const STEPS = {
    ArrowDown: () => current + 1,
    ArrowUp: () => current - 1,
    PageDown: () => current + page(),
    PageUp: () => current - page(),
    Home: () => 0,
    End: () => rows.length - 1,
  };

  space.addEventListener("keydown", (event) => {
    const own = event.target.getAttribute("role") === "row";
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (STEPS[event.key]) {
      event.preventDefault();
      go(STEPS[event.key]());
    } else if (own && event.key === "Enter" && rows[current]) {
      onOpen(rows[current].tenant_id);
    } else if (own && event.key === " " && withControls && rows[current]) {
      event.preventDefault();
      onChoose(rows[current].tenant_id, event);
    }
  });
  space.addEventListener("focusin", (event) => {
    const place = lines.find((one) => one.element.contains(event.target))?.place;
    if (place !== undefined && place !== current) {
      current = place;
      for (const one of lines) one.reachable(one.place === current);
    }
  });
  function moved(changed) {
    const before = held();
    render(changed);
    if (before) leaveButton(before);
  }
  view.addEventListener("scroll", () => requestAnimationFrame(() => moved(new Set())), { passive: true });
  new ResizeObserver(() => moved(null)).observe(view);

  return {
    element,
    /** Shows these rows; `changed`: only these differ from before. */
    show(next, picked, changed = null) {
      const before = changed === null ? held() : null;
      const tenant = rows[current]?.tenant_id;
      rows = next;
      chosen = picked;
      if (changed === null) follow(tenant);
      empty.hidden = rows.length > 0;
      attribute(element, "aria-rowcount", String(rows.length + 1));
      render(changed);
      if (!before) return;
      const now = lines.find((one) => one.place === current && !one.element.hidden);
      // The same button of the same tenant, wherever that is now; of another one, none.
      if (now) now.parts[now.tenant() === before.tenant ? before.part : 0].focus({ preventScroll: true });
      else leaveButton(before);
    },
    /** Whether the pointer is where a click does something to the line's tenant. */
    pointedAt: () => space.querySelector(".buttons:hover, .choose:hover") !== null,
    /** Marks the column that orders. */
    mark(column, down) {
      for (const one of heads) attribute(one, "aria-sort", one.dataset.column === column ? (down ? "descending" : "ascending") : null);
    },
    /** Puts the keyboard on a tenant's line, or on the first one. */
    focus(tenant = null) {
      const place = rows.findIndex((row) => row.tenant_id === tenant);
      go(Math.max(place, 0));
    },
  };
}
