// Start, stop and restart: of one tenant, of some, of everybody.

import { WORKERS, post } from "./api.js";
import { ask } from "./dialog.js";
import { plural } from "./format.js";
import { failure, notice } from "./notices.js";

const DONE = { start: "Starting", stop: "Stopping", restart: "Restarting" };
const WORD = { start: "Start", stop: "Stop", restart: "Restart" };
const MEANS = {
  stop: "The processes finish what they have in hand and leave. Messages wait in the queue until somebody starts them again.",
  restart: "Every process is replaced by a new one after it has finished what it has in hand.",
};
// Orders under way at the same time.
const AT_ONCE = 4;

/** What a tenant is called here. */
export const nameOf = (row) => (row.name ? `${row.name} (${row.tenant_id})` : `tenant ${row.tenant_id}`);

/** One tenant. */
export async function order(action, row) {
  if (action !== "start") {
    const sure = await ask({ title: `${WORD[action]} ${nameOf(row)}?`, text: MEANS[action], confirm: WORD[action], danger: action === "stop" });
    if (!sure) return;
  }
  try {
    await post(`${WORKERS}/tenant/control`, { action, tenant_id: row.tenant_id });
    notice(`${DONE[action]} ${nameOf(row)}`);
  } catch (error) {
    failure(`${WORD[action]} ${nameOf(row)}`, error);
  }
}

/** Several; `everybody` says that these are all there are. */
export async function orderAll(action, tenants, everybody) {
  const whom = everybody ? `all ${plural(tenants.length, "tenant")}` : plural(tenants.length, "tenant");
  const text = MEANS[action] ?? "Workers are started, also those that were given up as FATAL.";
  const sure = await ask({ title: `${WORD[action]} ${whom}?`, text, confirm: `${WORD[action]} ${whom}`, danger: action === "stop" });
  if (!sure) return;
  if (everybody) {
    try {
      await post(`${WORKERS}/control`, { action });
      notice(`${DONE[action]} ${whom}`);
    } catch (error) {
      failure(`${WORD[action]} ${whom}`, error);
    }
    return;
  }
  const left = [...tenants];
  const failed = [];
  const one = async () => {
    for (let tenant = left.shift(); tenant !== undefined; tenant = left.shift()) {
      try {
        await post(`${WORKERS}/tenant/control`, { action, tenant_id: tenant });
      } catch (error) {
        failed.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const done = tenants.length - failed.length;
  if (done > 0) notice(`${DONE[action]} ${plural(done, "tenant")}`);
  if (failed.length > 0) failure(`${WORD[action]}: ${plural(failed.length, "tenant")} refused, the first one`, failed[0]);
}
