// Which of all the events are worth a sentence to everybody: what needs a person.

import { announce, notice } from "./notices.js";

/** Tells, or says nothing. */
export function tell(event) {
  if (event.kind === "part") {
    notice(event.reason, event.reason.includes("no longer") ? "bad" : "ok");
    announce(event.reason);
  } else if (event.kind === "state" && event.to === "FATAL") {
    announce(`Tenant ${event.tenant_id} is FATAL: ${event.reason}.`);
  }
}
