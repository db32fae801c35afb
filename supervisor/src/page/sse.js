// Server-sent events out of a stream of text, as the HTML standard reads them. By fetch instead of EventSource, because the
// page has to see the status (401), and the beats, whose absence tells that a connection is dead.

/** Reads until the stream ends. `onMessage({event, id, data})`; `onSign()` for anything that arrives, beats too. */
export async function read(body, onMessage, onSign) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const parse = parser(onMessage);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onSign();
    parse(value);
  }
}

/** A function that takes pieces of text and tells of every message that is complete. */
export function parser(onMessage) {
  let rest = "";
  let message = { event: "message", id: null, data: [] };
  const line = (text) => {
    if (text === "") {
      if (message.data.length > 0) onMessage({ ...message, data: message.data.join("\n") });
      message = { event: "message", id: null, data: [] };
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") message.data.push(value);
    else if (field === "event") message.event = value;
    else if (field === "id") message.id = value;
  };
  return (text) => {
    rest += text;
    let end;
    while ((end = rest.indexOf("\n")) >= 0) {
      line(rest.slice(0, end).replace(/\r$/, ""));
      rest = rest.slice(end + 1);
    }
  };
}
