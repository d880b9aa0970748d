// The parser of text/event-stream, without a browser. The rules are those of
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.

import assert from 'node:assert/strict';
import test from 'node:test';

import { EventStreamParser, textOf } from '../../deploy/examples/event-stream.js';

const message = (data, id = '') => ({ type: 'message', data, id });

/** The events of a stream, each chunk of it pushed on its own. */
const parse = (...chunks) => {
  const parser = new EventStreamParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
};

/** The events of a body of these chunks of bytes. */
async function read(chunks) {
  const parser = new EventStreamParser();
  const events = [];
  for await (const text of textOf(ReadableStream.from(chunks), 10_000)) {
    events.push(...parser.push(text));
  }
  return events;
}

/** Numbers below `bound` that are the same in every run (mulberry32). */
function numbers(seed) {
  return (bound) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % bound;
  };
}

test('lines end with LF, CR or CR LF', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    const stream = ['data: one', '', 'data: two', '', ''].join(end);
    assert.deepEqual(parse(stream), [message('one'), message('two')]);
  }
});

test('an event is there as soon as its empty line is, and not before', () => {
  const parser = new EventStreamParser();
  assert.deepEqual(parser.push('data: one\n'), []);
  assert.deepEqual(parser.push('\r'), [message('one')]);
  assert.deepEqual(parser.push('\n'), []);
  assert.deepEqual(parser.push('data: two\n\n'), [message('two')]);
});

test('a CR LF that is cut in two ends one line', () => {
  assert.deepEqual(parse('data: a\r', '\ndata: b\r', '', '\n\r', '\n'), [message('a\nb')]);
  assert.deepEqual(parse('data: a\r', '\r', 'data: b\r\r'), [message('a'), message('b')]);
});

test('the lines of one event are joined, and one space after the colon is left out', () => {
  const stream = 'data:a\ndata:  b\ndata\ndata: c:d\n\n';
  assert.deepEqual(parse(stream), [message('a\n b\n\nc:d')]);
});

test('comments and unknown fields say nothing', () => {
  assert.deepEqual(parse(':\n\n: alive\n\nnews: x\ndata: a\n:data: b\n Data: c\n\n'), [
    message('a'),
  ]);
});

test('an event without data is none, and its type is forgotten', () => {
  assert.deepEqual(parse('event: one\n\ndata: x\n\n'), [message('x')]);
  assert.deepEqual(parse('event: two\ndata\n\n'), [{ type: 'two', data: '', id: '' }]);
});

test('an id holds until the next one, an empty one included', () => {
  const stream = 'id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n';
  assert.deepEqual(
    parse(stream),
    ['a', 'b', 'c'].map((data) => message(data, '1')).concat(message('d')),
  );
});

test('an id counts only once its event is complete', () => {
  const parser = new EventStreamParser('7');
  parser.push('id: 8\ndata: a\n');
  assert.equal(parser.lastEventId, '7');
  parser.push('\nid: 9\n\n');
  assert.equal(parser.lastEventId, '9');
});

test('retry takes digits only', () => {
  const parser = new EventStreamParser();
  parser.push('retry: 1500\nretry: -1\nretry: 2s\nretry:\n');
  assert.equal(parser.retry, 1500);
});

test('an event that the end of the stream cuts off is none', async () => {
  assert.deepEqual(await read([Buffer.from('data: a\n\ndata: b\n')]), [message('a')]);
});

test('a byte order mark is left out', async () => {
  assert.deepEqual(await read([Buffer.from('\uFEFFdata: a\n\n')]), [message('a')]);
});

test('a stream tells the same however its bytes are cut', async () => {
  const number = numbers(1);
  const pick = (list) => list[number(list.length)];
  for (let round = 0; round < 300; round += 1) {
    let stream = '';
    const expected = [];
    let id = '';
    for (let count = number(6); count > 0; count -= 1) {
      // The same for a whole event: CR and LF next to each other would end one line, not two.
      const end = pick(['\n', '\r', '\r\n']);
      if (number(3) === 0) stream += `: alive ${pick(['é', '🦀', ''])}${end}`;
      if (number(2) === 0) stream += `id: ${(id = String(number(100)))}${end}`;
      const lines = Array.from({ length: 1 + number(3) }, () =>
        pick(['', 'ä', '漢字', '🦀🦀', 'a: b']),
      );
      stream += lines.map((line) => `data: ${line}${end}`).join('') + end;
      expected.push(message(lines.join('\n'), id));
    }
    const bytes = Buffer.from(stream);
    const chunks = [];
    for (let at = 0; at < bytes.length;) {
      const length = number(5);
      chunks.push(bytes.subarray(at, at + length));
      at += length;
    }
    assert.deepEqual(await read(chunks), expected, JSON.stringify(stream));
  }
});

test('a stream that is silent for too long ends', async () => {
  let isCanceled = false;
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from('data: a\n\n')),
    cancel: () => (isCanceled = true),
  });
  const texts = [];
  for await (const text of textOf(body, 20)) texts.push(text);
  assert.deepEqual(texts, ['data: a\n\n']);
  assert.ok(isCanceled);
});

test('a stream that breaks ends', async () => {
  const body = new ReadableStream({
    pull: (controller) => controller.error(new TypeError('network error')),
  });
  for await (const text of textOf(body, 10_000)) assert.fail(text);
});

test('whoever stops reading ends the request', async () => {
  await new Promise((resolve) => {
    const start = (controller) => controller.enqueue(Buffer.from('data: a\n\n'));
    const texts = textOf(new ReadableStream({ start, cancel: resolve }), 10_000);
    texts.next().then(() => texts.return());
  });
});
