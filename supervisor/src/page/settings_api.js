// A tenant's settings: read, changed, and refused where somebody else was faster.

import { WORKERS, call, query } from "./api.js";
import { may } from "./session.js";

const PATH = `${WORKERS}/config`;
/** More the API gives nobody. */
export const MOST_WORKERS = 64;

/** How many workers this role may ask for; what is there already may always stay. */
export const mostWorkers = (effective) => Math.max(may.everybody() ? MOST_WORKERS : effective.workers_max, effective.workers);

/** The document of one tenant with its ETag. */
export async function readSettings(tenant) {
  const { body, headers } = await call("GET", PATH + query({ tenant_id: tenant }), { withHeaders: true });
  return { document: body, tag: headers.get("ETag") };
}

/** Replaces what is set for the queue types named; the answer is the new document. Fails with 412 where `tag` is old. */
export const writeSettings = (tenant, queues, tag) =>
  call("PUT", PATH, { body: { tenant_id: tenant, queues }, headers: tag ? { "If-Match": tag } : {} });

/** Changes every queue type of a tenant by `change(settings, effective)`, which returns the new settings. */
export async function changeEach(tenant, change) {
  const { document, tag } = await readSettings(tenant);
  const queues = {};
  for (const [type, effective] of Object.entries(document.effective)) {
    queues[type] = change(document.queues[type] ?? {}, effective);
  }
  return writeSettings(tenant, queues, tag);
}
