// The main view of an admin: totals, search, selection, and the table of all tenants.

import { byId, el, text } from "./dom.js";
import { fleet, onFleet } from "./fleet.js";
import { beginsDownwards, sorted, wanted } from "./order_of_rows.js";
import { orderAll } from "./orders.js";
import { plural } from "./format.js";
import { may } from "./session.js";
import { table } from "./table.js";
import { sum, totals } from "./totals.js";

const COLUMNS = [
  ["tenant", "Tenant", true],
  ["state", "State", true],
  ["workers", "Workers", true],
  ["depth", "Ready / unacked", true],
  ["rate", "Msg/s", true],
  ["memory", "Memory", true],
  ["restarts", "Restarts", true],
  ["exit", "Last exit", true],
];
// Sorting by figures that change all the time, and sums: this often at most.
const SETTLE = 1000;

// Survives a visit to a tenant's page.
const filter = { search: "", state: "" };
const order = { column: "tenant", down: false };
let last = null;
// When the first rows were there, for whoever measures.
let marked = false;

/** Builds the view into `parent`; returns how to take it away. */
export function fleetView(parent) {
  const chosen = new Set();
  let shown = [];
  let settle = 0;

  const search = el("input", { type: "search", id: "search", placeholder: "Search name or number  ( / )", "aria-label": "Search tenants by name or number", value: filter.search, autocomplete: "off", spellcheck: "false", on: { input: () => refilter() } });
  const found = el("span", { class: "quiet found", role: "status" });
  const strip = totals((state) => {
    filter.state = state;
    refilter();
  });
  const grid = table({
    columns: may.control() ? [["choose", all()], ...COLUMNS, ["buttons", "Control"]] : COLUMNS,
    withControls: may.control(),
    onSort(column) {
      order.down = order.column === column ? !order.down : beginsDownwards(column);
      order.column = column;
      arrange();
    },
    onOpen: (tenant) => (location.hash = `#/tenant/${tenant}`),
    onChoose: choose,
  });
  const bulk = selection();
  parent.append(strip.element, el("div", { class: "bar" }, search, found, bulk.element), grid.element);

  function all() {
    return el("input", { type: "checkbox", id: "choose-all", "aria-label": "Choose all tenants that are shown", on: { change: (event) => {
      for (const row of shown) event.target.checked ? chosen.add(row.tenant_id) : chosen.delete(row.tenant_id);
      draw();
    } } });
  }

  let anchor = null;
  function choose(tenant, event) {
    const range = event.shiftKey && anchor !== null ? between(anchor, tenant) : [tenant];
    const yes = !chosen.has(tenant);
    for (const one of range) yes ? chosen.add(one) : chosen.delete(one);
    anchor = tenant;
    draw();
  }
  function between(a, b) {
    const places = [a, b].map((tenant) => shown.findIndex((row) => row.tenant_id === tenant)).sort((x, y) => x - y);
    return places[0] < 0 ? [b] : shown.slice(places[0], places[1] + 1).map((row) => row.tenant_id);
  }

  function selection() {
    const number = el("span");
    const press = (action) => () => orderAll(action, [...chosen], fleet.complete() && chosen.size === fleet.size());
    const button = (action, words, more = {}) => el("button", { type: "button", on: { click: press(action) }, ...more }, words);
    const none = el("button", { type: "button", class: "plain", on: { click: () => clear() } }, "Clear");
    const element = el("div", { class: "bulk", role: "group", "aria-label": "With the chosen tenants", hidden: true }, number, button("start", "Start"), button("restart", "Restart"), button("stop", "Stop", { class: "danger" }), none);
    return { element, show: () => { element.hidden = chosen.size === 0; text(number, `${chosen.size.toLocaleString()} chosen`); } };
  }
  function clear() {
    chosen.clear();
    draw();
  }

  function refilter() {
    filter.search = search.value;
    arrange();
  }
  /** Which rows, in which order. */
  function arrange() {
    clearTimeout(settle);
    settle = 0;
    for (const tenant of chosen) if (!fleet.row(tenant)) chosen.delete(tenant);
    shown = sorted([...fleet.rows()].filter(wanted(filter)), order);
    total();
    text(found, filter.search || filter.state ? `${plural(shown.length, "tenant")} of ${fleet.size().toLocaleString()}` : "");
    grid.mark(order.column, order.down);
    draw();
  }
  /** The same after a while. A click is for the tenant that the pointer came to rest on: until it leaves, the order stays. */
  function settleLater() {
    settle = setTimeout(() => {
      if (!grid.pointedAt()) return arrange();
      total();
      settleLater();
    }, SETTLE);
  }
  function total() {
    const sums = fleet.complete() ? sum(fleet.rows()) : fleet.serverTotals();
    if (sums) strip.show(sums, filter.state);
  }
  function draw(changed = null) {
    bulk.show();
    const box = byId("choose-all");
    if (box) {
      box.checked = shown.length > 0 && chosen.size >= shown.length;
      box.indeterminate = chosen.size > 0 && !box.checked;
    }
    grid.show(shown, chosen, changed);
    if (shown.length > 0 && !marked) {
      marked = true;
      performance.mark("rows");
    }
  }

  const stop = onFleet(({ changed, shape }) => {
    if (shape) return arrange();
    shown = shown.map((row) => (changed.has(row.tenant_id) ? fleet.row(row.tenant_id) : row));
    draw(changed);
    if (!settle) settleLater();
  });
  const escape = (event) => {
    if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (document.activeElement === search && search.value) {
      search.value = "";
      refilter();
    } else if (chosen.size > 0) clear();
    else if (document.activeElement === search) grid.focus();
  };
  addEventListener("keydown", escape);
  arrange();
  if (last !== null) grid.focus(last);
  return {
    title: "Tenants",
    focus: () => grid.focus(last),
    leave(next) {
      last = next;
      stop();
      clearTimeout(settle);
      removeEventListener("keydown", escape);
    },
  };
}
