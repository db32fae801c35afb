// What the page knows of the tenants: loaded as an overview, kept up to date by the stream, told at most once a frame.

import { WORKERS, get, query } from "./api.js";

// The first page fills the screen; the others may take longer.
const FIRST = 60;
const NEXT = 500;

const rows = new Map();
const listeners = new Set();
let serverTotals = null;
let complete = false;
let changed = new Set();
let shape = false;
let scheduled = false;
// While an overview is loading: the tenants of which the stream has told something newer.
let newer = null;
let loading = null;

export const fleet = {
  /** A tenant's row, or `undefined`. */
  row: (tenant) => rows.get(tenant),
  /** All rows, in the order of their tenants once loading is complete. */
  rows: () => rows.values(),
  size: () => rows.size,
  complete: () => complete,
  /** Sums as the server told them, for as long as not every row is here. */
  serverTotals: () => serverTotals,
};

/** Listens: `listener({ changed: Set of tenants, shape: whether some came or went })`; returns how to stop it. */
export function onFleet(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  const tell = () => {
    if (!scheduled) return;
    scheduled = false;
    const news = { changed, shape };
    changed = new Set();
    shape = false;
    for (const listener of listeners) listener(news);
  };
  // A page in the background gets no frames, and must not collect for hours either.
  if (document.hidden) setTimeout(tell, 1000);
  else requestAnimationFrame(tell);
}

function put(row) {
  if (!rows.has(row.tenant_id)) shape = true;
  rows.set(row.tenant_id, row);
  changed.add(row.tenant_id);
}

/** Rows that the stream brought. */
export function apply(list) {
  for (const row of list) {
    put(row);
    newer?.add(row.tenant_id);
  }
  schedule();
}

/** Loads everything; `onFirst(overview)` as soon as the first page is there. Called again meanwhile, it begins once more. */
export async function load(onFirst = () => {}) {
  const own = Symbol("loading");
  loading = own;
  newer = new Set();
  const seen = new Set();
  let cursor = null;
  let first = true;
  do {
    const page = await get(`${WORKERS}/overview${query({ limit: first ? FIRST : NEXT, cursor })}`);
    if (loading !== own) return;
    for (const row of page.tenants) {
      seen.add(row.tenant_id);
      if (!newer.has(row.tenant_id)) put(row);
    }
    serverTotals = page.totals;
    if (first) onFirst(page);
    schedule();
    first = false;
    cursor = page.next_cursor;
  } while (cursor !== null);
  for (const tenant of rows.keys()) {
    if (!seen.has(tenant) && !newer.has(tenant)) {
      rows.delete(tenant);
      shape = true;
    }
  }
  newer = null;
  complete = true;
  shape = true;
  schedule();
}

/** Forgets everything: somebody else may log in next. */
export function clear() {
  rows.clear();
  loading = null;
  newer = null;
  complete = false;
  serverTotals = null;
  shape = true;
  schedule();
}
