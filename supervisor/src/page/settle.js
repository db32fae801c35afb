// Dead letters replayed or discarded, in as many calls as it takes.

import { post } from "./api.js";

const PATH = "/api/v1/admin/dead-letters";

/**
 * Settles what matches at first: letters that are written meanwhile, perhaps by a worker that has just got them again, are
 * not waited for. `progress(done, of)` says whether to go on. Returns `{ done, failed, rest, error }`.
 */
export async function settleAll(what, selection, progress) {
  const outcome = { done: 0, failed: [], rest: 0, error: null };
  const failed = new Map();
  let skipped = 0;
  let looked = 0;
  let of = null;
  try {
    for (;;) {
      const settled = await post(`${PATH}/${what}`, selection);
      of ??= selection.ids ? selection.ids.length : settled.matched;
      outcome.done += settled.done;
      for (const letter of settled.failed) failed.set(letter.id, letter);
      skipped += settled.skipped;
      looked = outcome.done + skipped + failed.size;
      // Those that fail stay the oldest, and would be tried again and again.
      const moves = settled.done + settled.skipped > 0;
      if (selection.ids || looked >= of || !moves || !progress(outcome.done, of)) break;
      if (settled.matched <= settled.done + settled.skipped + settled.failed.length) break;
    }
  } catch (error) {
    outcome.error = error;
  }
  outcome.failed = [...failed.values()];
  if (of !== null && !selection.ids) outcome.rest = Math.max(0, of - looked);
  return outcome;
}
