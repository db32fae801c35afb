// Which rows the table shows, and in which order.

import { STATES } from "./badge.js";

const nothing = -1;
const KEYS = {
  tenant: (row) => row.tenant_id,
  name: (row) => (row.name ?? "").toLowerCase(),
  state: (row) => STATES.indexOf(row.state),
  workers: (row) => row.running,
  depth: (row) => row.messages_ready ?? nothing,
  rate: (row) => row.throughput ?? nothing,
  memory: (row) => row.resident_memory_bytes,
  restarts: (row) => row.restarts,
  exit: (row) => row.last_exit?.at ?? "",
};
// Where the interesting end is the upper one.
const DOWNWARDS = new Set(["workers", "depth", "rate", "memory", "restarts", "exit"]);

/** Whether a column begins with its greatest. */
export const beginsDownwards = (column) => DOWNWARDS.has(column);

/** A function that tells whether a row is wanted. */
export function wanted({ search, state }) {
  const words = search.trim().toLowerCase();
  return (row) => {
    if (state && row.state !== state) return false;
    if (!words) return true;
    return String(row.tenant_id).startsWith(words) || (row.name ?? "").toLowerCase().includes(words);
  };
}

/** The rows in the order of a column; equal ones in the order of their tenants, so that nothing dances. */
export function sorted(rows, { column, down }) {
  const key = KEYS[column];
  const sign = down ? -1 : 1;
  return rows.sort((a, b) => {
    const left = key(a);
    const right = key(b);
    if (left < right) return -sign;
    if (left > right) return sign;
    return a.tenant_id - b.tenant_id;
  });
}
