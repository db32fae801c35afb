// The one connection over which everything that changes arrives. It is made again for ever, and what happened meanwhile is
// asked for by the id of the last event. While nobody can see the page there is none: a browser has six connections for one
// server, for all its tabs together.

import { WORKERS, query, send } from "./api.js";
import { whenHidden, whenSeen } from "./seen.js";
import { read } from "./sse.js";

// The server sends a beat every 15 seconds.
const SILENCE = 40000;
const DELAYS = [300, 700, 1500, 3000, 5000];

/**
 * Connects until `close()` is called. Tells: `onOpen()` whenever a connection is there, `onLost(why)` when it is not,
 * `onEvent(FleetEvent)`, `onRows([TenantRow])`, `onReset()`.
 */
export function connect(tell) {
  let last = null;
  let failures = 0;
  let closed = false;
  let aborter = null;
  let wake = () => {};

  async function once() {
    aborter = new AbortController();
    let silence = 0;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => aborter.abort(), SILENCE);
    };
    heard();
    try {
      const path = `${WORKERS}/events${query({ rows: true, last_event_id: last })}`;
      const response = await send("GET", path, { signal: aborter.signal, headers: { Accept: "text/event-stream" } });
      failures = 0;
      tell.onOpen();
      await read(response.body, message, heard);
    } finally {
      clearTimeout(silence);
    }
  }

  function message({ event, id, data }) {
    if (id) last = id;
    const body = JSON.parse(data);
    if (event === "rows") tell.onRows(body);
    else if (event === "fleet") tell.onEvent(body);
    else if (event === "reset") tell.onReset(body);
  }

  async function forever() {
    while (!closed) {
      await whenSeen();
      if (closed) return;
      let why = null;
      try {
        await once();
      } catch (error) {
        // Nobody is logged in any more: the page shows the form and starts again.
        if (error.status === 401) return;
        if (error.status > 0) why = error.message;
      }
      if (closed) return;
      if (document.hidden) continue;
      tell.onLost(why);
      const delay = DELAYS[Math.min(failures, DELAYS.length - 1)] * (0.75 + Math.random() / 2);
      failures += 1;
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, delay);
      });
    }
  }

  const online = () => wake();
  addEventListener("online", online);
  const stop = whenHidden(() => aborter?.abort());
  forever();
  return {
    /** The id from which a new connection goes on. */
    resumeFrom(id) {
      if (last === null) last = String(id);
    },
    close() {
      closed = true;
      stop();
      removeEventListener("online", online);
      aborter?.abort();
      wake();
    },
  };
}
