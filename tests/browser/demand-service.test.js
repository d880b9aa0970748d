// The client of the service, without a browser and against answers that the service gives only
// in trouble.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import test from 'node:test';

import { DemandService, Problem } from '../../deploy/examples/demand-service.js';

const STREAM = { 'Content-Type': 'text/event-stream' };
const PROBLEM = { 'Content-Type': 'application/problem+json' };

/** A service that answers its requests by `answers`, one after the other; and what it was asked. */
async function scripted(t, ...answers) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answers.shift()(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return {
    service: new DemandService(`http://127.0.0.1:${server.address().port}/at/`, 'secret'),
    requests,
  };
}

const answer =
  (status, headers = {}, body = '') =>
  (response) =>
    response.writeHead(status, headers).end(body);

/** Everything a generator of lists yields, in one list. */
async function all(lists) {
  const items = [];
  for await (const list of lists) items.push(...list);
  return items;
}

test('a history goes on after the last whole event when its stream breaks', async (t) => {
  const { service, requests } = await scripted(
    t,
    (response) => {
      response.writeHead(200, STREAM);
      response.write('retry: 0\n\nid: 1\ndata: {"seq":1}\n\nid: 2\ndata: {"se', () =>
        response.destroy(),
      );
    },
    answer(200, STREAM, 'retry: 0\n\nid: 2\ndata: {"seq":2}\n\nid: 3\ndata: {"seq":3}\n\n'),
    answer(204),
  );
  assert.deepEqual(await all(service.follow('d')), [{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
  assert.deepEqual(
    requests.map(({ headers }) => headers['last-event-id']),
    [undefined, '1', '3'],
  );
  const { url, headers } = requests[0];
  assert.equal(url, '/at/demands/d/events');
  assert.equal(headers.accept, 'text/event-stream');
  assert.equal(headers.authorization, 'Bearer secret');
});

test('a history can be followed from an entry on', async (t) => {
  const { service, requests } = await scripted(t, answer(204));
  assert.deepEqual(await all(service.follow('d', { after: 5 })), []);
  assert.equal(requests[0].headers['last-event-id'], '5');
});

test('what only reads goes on when the service is back', async (t) => {
  const { service } = await scripted(
    t,
    answer(503, { ...PROBLEM, 'Retry-After': '0' }, '{"title":"Overloaded"}'),
    answer(502, { 'Retry-After': '0', 'Content-Type': 'text/html' }, '<h1>Bad Gateway</h1>'),
    answer(200, {}, '{"status":"COMPLETED"}'),
  );
  const told = [];
  const onConnection = (problem, wait) => told.push([problem?.title, wait]);
  assert.deepEqual(await service.status('d', { onConnection }), { status: 'COMPLETED' });
  assert.deepEqual(told, [
    ['Overloaded', 0],
    ['Bad Gateway', 0],
    [undefined, undefined],
  ]);
});

test('it waits for as long as Retry-After says, a number or a date', async (t) => {
  const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
  for (const [value, least, most] of [
    ['7', 7_000, 7_000],
    [inAnHour, 3_500_000, 3_600_000],
  ]) {
    const { service } = await scripted(t, answer(503, { 'Retry-After': value }));
    const end = new AbortController();
    let told;
    const onConnection = (_, wait) => {
      told = wait;
      end.abort();
    };
    const status = service.status('d', { signal: end.signal, onConnection });
    await assert.rejects(status, { name: 'AbortError' });
    assert.ok(least <= told && told <= most, String(told));
  }
});

test('without it, it waits ever longer, up to half a minute', async (t) => {
  // Nothing listens there any more.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const service = new DemandService(`http://127.0.0.1:${server.address().port}`);
  await new Promise((resolve) => server.close(resolve));
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.method(Math, 'random', () => 1);
  const waits = [];
  const end = new AbortController();
  const onConnection = (problem, wait) => {
    assert.equal(problem.status, 0);
    if (waits.push(wait) === 8) return end.abort();
    // Once the wait has begun.
    return setImmediate(() => t.mock.timers.tick(wait));
  };
  const status = service.status('d', { signal: end.signal, onConnection });
  await assert.rejects(status, { name: 'AbortError' });
  assert.deepEqual(
    waits,
    [1, 2, 4, 8, 16, 30, 30, 30].map((seconds) => seconds * 1000),
  );
});

test('what the service refuses for good is not tried again', async (t) => {
  const errors = [{ pointer: '/a', code: 'missing', detail: 'is missing' }];
  const document = { title: 'No', detail: 'Never.', status: 422, errors, request_id: 'r' };
  const { service } = await scripted(t, answer(422, PROBLEM, JSON.stringify(document)));
  await assert.rejects(service.status('d'), (problem) => {
    assert.ok(problem instanceof Problem);
    assert.equal(problem.message, 'No. Never.');
    assert.deepEqual(problem.errors, errors);
    assert.equal(problem.requestId, 'r');
    return true;
  });
});

test('what changes something is sent once, and told if its outcome is unknown', async (t) => {
  const { service, requests } = await scripted(t, (response) => response.destroy());
  await assert.rejects(service.submit('{}', 'k'), {
    status: 0,
    title: 'The service cannot be reached',
  });
  assert.equal(requests.length, 1);
  assert.equal(requests[0].headers['idempotency-key'], 'k');
});

test('a log is read on from where it was', async (t) => {
  const { service, requests } = await scripted(
    t,
    answer(200, {}, '{"lines":[{"message":"a"}],"next_cursor":"c 1","complete":false}'),
    answer(200, {}, '{"lines":[{"message":"b"}],"next_cursor":"c2","complete":true}'),
  );
  const lines = await all(service.log('d', 'execute', 2));
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['a', 'b'],
  );
  assert.equal(requests[1].url, '/at/demands/d/logs?step=execute&attempt=2&cursor=c+1');
});
