// A client of the service's HTTP interface: what the page needs of it, and nothing of the page.

import { EventStreamParser, textOf } from './event-stream.js';

// All in milliseconds.
/** Before something is tried again; doubles up to the longest. */
const PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
/** The service sends a comment every 15 s. A stream silent for three times that is dead. */
const LONGEST_SILENCE = 45_000;
/** Between two looks at the log of a running step. */
const LOG_PAUSE = 2_000;

/** An RFC 9457 problem document, or what can be said without one. Status 0: there was no answer. */
export class Problem extends Error {
  constructor({ status, title, detail = '', errors = [], request_id }, { retryAfter, cause } = {}) {
    super(`${title}. ${detail}`, { cause });
    Object.assign(this, { status, title, detail, errors, requestId: request_id, retryAfter });
  }

  /** Whether the same request may succeed later. */
  get isTransient() {
    return this.status === 0 || this.status >= 500 || [408, 429].includes(this.status);
  }
}

/**
 * One service, and the token to call it with. Every method throws a `Problem` when the service
 * refuses or cannot be reached. Those with options only read, and go on while it cannot be reached:
 * they tell `onConnection(problem, ms)` in how long they try again, and `onConnection()` once they
 * are through. `signal` ends them.
 */
export class DemandService {
  #url;
  #token;

  constructor(url, token = '') {
    this.#url = url.replace(/\/*$/, '/');
    this.#token = token;
  }

  /**
   * Submits a demand, given as JSON text; returns its status document. The key makes it harmless
   * to send the same text again: the service answers with the demand that it has already.
   */
  submit(json, key) {
    const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': key };
    return this.#json('demands', { method: 'POST', headers, body: json });
  }

  cancel(id) {
    return this.#json(path(id, '/cancel'), { method: 'POST' });
  }

  /** Starts the attempt after `from_attempt`, which makes it harmless to ask twice. */
  retry(id, from_attempt) {
    const headers = { 'Content-Type': 'application/json' };
    const body = JSON.stringify({ from_attempt });
    return this.#json(path(id, '/retry'), { method: 'POST', headers, body });
  }

  /** The status document. The browser's cache knows its ETag, and asks only whether it changed. */
  status(id, options = {}) {
    return persist(() => this.#json(path(id), { signal: options.signal }), options);
  }

  /**
   * Yields the entries of the history after entry number `after`, in lists as they arrive, until
   * the demand has ended: none is lost or told twice, however often the connection breaks.
   */
  async *follow(id, { after = 0, ...options } = {}) {
    let lastEventId = after > 0 ? String(after) : '';
    for (;;) {
      const headers = { Accept: 'text/event-stream' };
      if (lastEventId !== '') headers['Last-Event-ID'] = lastEventId;
      const init = { headers, signal: options.signal };
      const open = () => this.#send(path(id, '/events'), init);
      const response = await persist(open, options);
      // 204: the demand has ended, and all of its history is told.
      if (response.status === 204) return;
      const parser = new EventStreamParser(lastEventId);
      for await (const text of textOf(response.body, LONGEST_SILENCE)) {
        const events = parser.push(text);
        lastEventId = parser.lastEventId;
        if (events.length > 0) yield events.map(({ data }) => JSON.parse(data));
      }
      await pause(parser.retry ?? PAUSE, options.signal);
    }
  }

  /** Yields the lines of a step's log, in lists as they arrive, until it is complete. */
  async *log(id, step, attempt, options = {}) {
    const query = new URLSearchParams({ step, attempt });
    for (;;) {
      const read = () => this.#json(path(id, `/logs?${query}`), { signal: options.signal });
      const { lines, next_cursor, complete } = await persist(read, options);
      if (lines.length > 0) yield lines;
      if (complete) return;
      query.set('cursor', next_cursor);
      if (lines.length === 0) await pause(LOG_PAUSE, options.signal);
    }
  }

  async #send(path, { headers, ...init }) {
    const url = this.#url + path;
    const authorization = this.#token && { Authorization: `Bearer ${this.#token}` };
    let response;
    try {
      response = await fetch(url, { ...init, headers: { ...headers, ...authorization } });
    } catch (cause) {
      throw unreachable(cause);
    }
    if (!response.ok) throw await refused(response);
    return response;
  }

  async #json(path, init) {
    const response = await this.#send(path, init);
    return response.json().catch((cause) => {
      throw unreachable(cause);
    });
  }
}

const path = (id, rest = '') => `demands/${encodeURIComponent(id)}${rest}`;

/** Browsers do not tell a page which of the two it is. */
function unreachable(cause) {
  const title = 'The service cannot be reached';
  const detail = `It does not run there, or pages of ${globalThis.origin} may not call it.`;
  return new Problem({ status: 0, title, detail }, { cause });
}

async function refused(response) {
  const { status, statusText, headers } = response;
  const isProblem = headers.get('Content-Type')?.startsWith('application/problem+json');
  // A proxy in between answers what it likes.
  const document = isProblem ? await response.json().catch(() => ({})) : {};
  const retryAfter = milliseconds(headers.get('Retry-After'));
  return new Problem({ title: statusText || 'Refused', ...document, status }, { retryAfter });
}

/** `Retry-After` is a number of seconds, or a date. */
function milliseconds(retryAfter) {
  if (retryAfter === null) return undefined;
  const wait = /^\d+$/.test(retryAfter) ? retryAfter * 1000 : Date.parse(retryAfter) - Date.now();
  // A timer that is set for longer than it can hold fires at once.
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), 2 ** 31 - 1);
}

/** Does what only reads until it succeeds, or fails in a way that trying again does not mend. */
async function persist(attempt, { signal, onConnection }) {
  for (let longest = PAUSE; ; longest = Math.min(2 * longest, LONGEST_PAUSE)) {
    try {
      const answer = await attempt();
      onConnection?.();
      return answer;
    } catch (problem) {
      signal?.throwIfAborted();
      if (!problem.isTransient) throw problem;
      // Not all pages at once, when a service comes back.
      const wait = problem.retryAfter ?? longest * (0.5 + Math.random() / 2);
      onConnection?.(problem, wait);
      await pause(wait, signal);
    }
  }
}

/** Resolves after so many milliseconds, and rejects as soon as `signal` is aborted. */
function pause(wait, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, wait);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
