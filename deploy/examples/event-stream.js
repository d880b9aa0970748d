// Parses text/event-stream as the HTML standard defines it
// (https://html.spec.whatwg.org/multipage/server-sent-events.html), for streams that come through
// `fetch`: an EventSource cannot send a token.

export class EventStreamParser {
  /** Where a new connection resumes, once an event has come that says so. */
  lastEventId;
  /** How long the server wants clients to wait before they reconnect, in milliseconds. */
  retry;

  #line = '';
  #endedByCr = false;
  #data = [];
  #type = '';
  #id;

  /** A connection that resumes starts with the last event ID of the one before. */
  constructor(lastEventId = '') {
    this.lastEventId = this.#id = lastEventId;
  }

  /** Takes text, cut anywhere, and returns the events it completes: `{type, data, id}`. */
  push(text) {
    if (text === '') return [];
    // The second half of a CR LF that was cut in two.
    if (this.#endedByCr && text[0] === '\n') text = text.slice(1);
    this.#endedByCr = text.endsWith('\r');
    const lines = (this.#line + text).split(/\r\n|\r|\n/);
    this.#line = lines.pop();
    return lines.map((line) => this.#take(line)).filter((event) => event !== undefined);
  }

  #take(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    // A comment; servers send them to show that they live.
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    if (field === 'event') this.#type = value;
    if (field === 'id' && !value.includes('\0')) this.#id = value;
    if (field === 'retry' && /^[0-9]+$/.test(value)) this.retry = Number(value);
    return undefined;
  }

  #dispatch() {
    const [data, type] = [this.#data, this.#type];
    [this.#data, this.#type, this.lastEventId] = [[], '', this.#id];
    if (data.length === 0) return undefined;
    return { type: type || 'message', data: data.join('\n'), id: this.lastEventId };
  }
}

/**
 * The text of a body as it arrives, however its characters are cut. A connection that breaks, or
 * is silent for too long, ends it as any other end does: what follows is a new connection.
 */
export async function* textOf(body, longestSilence) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const cancel = () => reader.cancel().catch(() => {});
  try {
    for (;;) {
      const timer = setTimeout(cancel, longestSilence);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      yield value;
    }
  } catch {
    // Broken, or aborted by whoever opened it.
  } finally {
    cancel();
  }
}
