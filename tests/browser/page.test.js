// The example page against the service, in a browser and from another origin.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { after, before } from 'node:test';

import { launch, withPage } from './browser.js';
import { Service, site } from './servers.js';

let browser, home, stranger, service;

before(async () => {
  [browser, home, stranger] = await Promise.all([launch(), site(), site()]);
  service = await Service.start({ origins: [home.origin] });
});

after(async () => {
  await browser?.close();
  await service?.close();
  home?.close();
  stranger?.close();
});

/** What Chromium logs of answers with these status codes. */
const logged = (...codes) => codes.map((code) => new RegExp(`status of ${code} `));

/** Runs a test in the page, opened for the service with a token that is good. */
function inPage(name, { expected, token = () => service.token, from = () => home } = {}, act) {
  test(name, () => {
    const { origin } = from();
    const origins = [origin, service.url];
    return withPage(browser, { origins, expected }, async (page, called) => {
      await page.goto(`${origin}/?service=${encodeURIComponent(service.url)}`);
      await page.getByLabel('Token').fill(token());
      await act(page, called);
    });
  });
}

const demand = (type, command) => ({
  execution_type: type,
  execution_image: 'public.ecr.aws/docker/library/bash:5',
  execution_parameters: { command: [command] },
  execution_platform: { aws_batch: { job_queue_name: 'local' } },
});

/** A command that goes on until `go` says so, or its test is over. */
function waiting(type) {
  const file = join(service.directory, type);
  const command = `while [ -d ${service.directory} ] && [ ! -e ${file} ]; do sleep 0.05; done`;
  return { demand: demand(type, `${command}; echo went on`), go: () => writeFile(file, ''), file };
}

async function submit(page, demand) {
  await page.getByLabel('Demand execution, as JSON').fill(JSON.stringify(demand));
  await page.getByRole('button', { name: 'Submit' }).click();
}

/** Waits until the element shows the text, which may be part of what it shows. */
const shows = (page, selector, text) =>
  page.locator(selector).filter({ hasText: text }).first().waitFor();

const started = (page) => shows(page, '#history li', /execute · .*RUNNING/);

/** Holds the history that is shown, entry by entry, to what the service has. */
async function showsAllOnce(page) {
  await shows(page, '#connection', 'The demand has ended.');
  const shown = await page
    .locator('#history li')
    .evaluateAll((items) => items.map((li) => li.value));
  const { events } = await service.get(
    `/demands/${await page.locator('#watched-id').textContent()}/events`,
  );
  assert.deepEqual(
    shown,
    events.map(({ seq }) => seq),
  );
}

inPage('a demand is followed live from its submission to its end', {}, async (page) => {
  const { demand, go, file } = waiting('live');
  await submit(page, demand);
  await started(page);
  // The command cannot have ended.
  assert.ok(!existsSync(file));
  await shows(page, '#status', 'IN_PROGRESS');
  await shows(page, '#phase', 'EXECUTING');
  await shows(page, '#connection', 'Live.');
  assert.equal(await page.locator('#steps tr', { hasText: 'execute' }).count(), 1);
  await go();
  await shows(page, '#status', 'COMPLETED');
  await shows(page, '#steps tr', /execute.*SUCCEEDED.*0/);
  await shows(page, '#logs pre', 'went on');
  await showsAllOnce(page);
});

inPage('the demand that the page comes with is a good one', {}, async (page) => {
  const box = page.getByLabel('Demand execution, as JSON');
  await box.fill((await box.inputValue()).replace('"up_to": "10"', '"up_to": "1"'));
  await page.getByRole('button', { name: 'Submit' }).click();
  await shows(page, '#status', 'COMPLETED');
  await showsAllOnce(page);
});

inPage(
  'a bad demand shows every fault beside its pointer',
  { expected: logged(422) },
  async (page) => {
    const bad = {
      execution_type: '<b>bad</b>',
      execution_image: 5,
      execution_parameters: { command: 'x', inputs: ['nope'] },
      execution_platform: {},
    };
    await submit(page, bad);
    await shows(page, '#problem h2', '422 The demand cannot be planned');
    const pointers = await page.locator('#problem dt').allTextContents();
    const details = await page.locator('#problem dd').allTextContents();
    const answer = await fetch(`${service.url}/demands/plan`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${service.token}` },
      body: JSON.stringify(bad),
    });
    const { errors } = await answer.json();
    assert.ok(errors.length > 3);
    assert.deepEqual(
      pointers,
      errors.map(({ pointer }) => pointer),
    );
    assert.deepEqual(
      details,
      errors.map(({ detail, code }) => `${detail} ${code}`),
    );
    // It says so to users of screen readers too, and no more once something else is done.
    const box = page.getByLabel('Demand execution, as JSON');
    assert.equal(await box.getAttribute('aria-invalid'), 'true');
    await submit(page, demand('mended', 'true'));
    await shows(page, '#status', 'COMPLETED');
    assert.ok(await page.locator('#problem').isHidden());
  },
);

inPage(
  'a text that is not JSON is refused with its place',
  { expected: logged(400) },
  async (page) => {
    await page.getByLabel('Demand execution, as JSON').fill('{"execution_type": }');
    await page.getByRole('button', { name: 'Submit' }).click();
    await shows(page, '#problem', /400 .*column/);
  },
);

inPage('a failed demand shows its reason, and a retry goes on with it', {}, async (page) => {
  const file = join(service.directory, 'mended');
  await submit(page, demand('failing', `[ -e ${file} ] || exit 3`));
  await shows(page, '#status', 'FAILED');
  await shows(page, '#reason', /COMMAND_FAILED: .*3/);
  await shows(page, '#steps tr', /execute.*FAILED.*3/);
  await showsAllOnce(page);
  await writeFile(file, '');
  await page.getByRole('button', { name: 'Retry' }).click();
  await shows(page, '#status', 'COMPLETED');
  await shows(page, '#phase', 'attempt 2');
  assert.equal(await page.locator('#reason').textContent(), '');
  await showsAllOnce(page);
});

inPage('a demand that is canceled is shown as aborted', {}, async (page) => {
  await submit(page, waiting('canceled').demand);
  await started(page);
  await page.getByRole('button', { name: 'Cancel' }).press('Enter');
  await shows(page, '#status', 'ABORTED');
  await shows(page, '#reason', 'CANCELED');
  assert.equal(
    await page.getByRole('button', { name: 'Cancel' }).getAttribute('aria-disabled'),
    'true',
  );
  await showsAllOnce(page);
});

inPage('two clicks make one demand', {}, async (page) => {
  await page.getByLabel('Demand execution, as JSON').fill(JSON.stringify(demand('twice', 'true')));
  await page.getByRole('button', { name: 'Submit' }).dblclick();
  await shows(page, '#status', 'COMPLETED');
  assert.equal((await service.listed('twice')).length, 1);
});

inPage(
  'a demand whose answer was lost is found when it is sent again',
  { expected: [/net::ERR_FAILED/] },
  async (page) => {
    await page.route('**/demands', async (route) => {
      await route.fetch();
      await route.abort();
    });
    await submit(page, demand('resent', 'true'));
    await shows(page, '#problem', 'The service cannot be reached');
    const [stored] = await service.listed('resent');
    await page.unroute('**/demands');
    await page.getByRole('button', { name: 'Submit' }).click();
    await shows(page, '#watched-id', stored.execution_id);
    await shows(page, '#status', 'COMPLETED');
    assert.equal((await service.listed('resent')).length, 1);
  },
);

inPage(
  'a token that is wrong is told as such',
  { token: () => 'wrong', expected: logged(401) },
  async (page) => {
    await submit(page, demand('unknown-caller', 'true'));
    await shows(
      page,
      '#problem',
      /401 Nobody known sends this.*The token is none of this service's/,
    );
    assert.equal(await page.evaluate(() => document.activeElement.id), 'token');
    assert.deepEqual(await service.listed('unknown-caller'), []);
  },
);

inPage(
  'a reload goes on following, once the token is given again',
  { expected: logged(401) },
  async (page, called) => {
    const { demand, go } = waiting('reloaded');
    await submit(page, demand);
    await started(page);
    // The token is kept nowhere.
    const kept = await page.evaluate(() => ({
      ...localStorage,
      ...sessionStorage,
      at: document.URL,
    }));
    assert.ok(!JSON.stringify(kept).includes(service.token));
    assert.ok(!called.some((request) => request.url().includes(service.token)));
    assert.deepEqual(await page.context().cookies(), []);
    await page.reload();
    await shows(page, '#problem', '401');
    assert.equal(await page.getByLabel('Token').inputValue(), '');
    // The keyboard is where it is needed.
    await page.keyboard.type(service.token);
    await page.keyboard.press('Enter');
    await started(page);
    await go();
    await shows(page, '#status', 'COMPLETED');
    await showsAllOnce(page);
  },
);

test('a reload goes on following where no token is needed', async () => {
  const open = await Service.start({ origins: [home.origin], withTokens: false });
  try {
    await withPage(browser, { origins: [home.origin, open.url] }, async (page) => {
      await page.goto(home.origin);
      await page.getByLabel('Address').fill(open.url);
      await submit(page, demand('open', `while [ -d ${open.directory} ]; do sleep 0.05; done`));
      await started(page);
      await page.reload();
      await started(page);
      await page.getByRole('button', { name: 'Cancel' }).click();
      await shows(page, '#status', 'ABORTED');
    });
  } finally {
    await open.close();
  }
});

inPage(
  'a page outlives a restart of the service, and shows each event once',
  { expected: [/net::ERR_CONNECTION_REFUSED/] },
  async (page, called) => {
    const { demand, go } = waiting('restarted');
    await submit(page, demand);
    await started(page);
    const seen = await page.locator('#history li').count();
    assert.equal(await service.stop(), 0);
    await shows(page, '#connection', 'The service cannot be reached.');
    await service.run();
    await shows(page, '#connection', 'Live.');
    await shows(page, '#status', 'IN_PROGRESS');
    await go();
    await shows(page, '#status', 'COMPLETED');
    await showsAllOnce(page);
    const streams = called.filter((request) => request.url().endsWith('/events'));
    const headers = await Promise.all(streams.map((request) => request.allHeaders()));
    const resumed = headers.map((header) => Number(header['last-event-id'] ?? 0));
    assert.equal(resumed[0], 0);
    assert.ok(
      resumed.length > 2 && resumed.slice(1).every((last) => last >= seen),
      String(resumed),
    );
  },
);

inPage(
  'a page of an origin that is not listed gets nothing and stores nothing',
  { from: () => stranger, expected: [/blocked by CORS policy/, /net::ERR_FAILED/] },
  async (page) => {
    const refused = `pages of ${stranger.origin} may not call it`;
    await submit(page, demand('foreign', 'true'));
    await shows(page, '#problem', refused);
    assert.deepEqual(await service.listed('foreign'), []);
    // Nor does it get to read a demand that it knows the id of.
    const answer = await fetch(`${service.url}/demands`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${service.token}` },
      body: JSON.stringify(demand('coveted', 'true')),
    });
    const { execution_id } = await answer.json();
    await page.getByLabel('Execution id').fill(execution_id);
    await page.getByRole('button', { name: 'Follow' }).click();
    await shows(page, '#connection', refused);
    assert.ok(await page.locator('#watched').isHidden());
  },
);

test('a page of an origin that is not listed cancels nothing where no token is needed', async () => {
  const open = await Service.start({ origins: [home.origin], withTokens: false });
  const origins = [stranger.origin, open.url];
  try {
    await withPage(browser, { origins, expected: logged(403) }, async (page) => {
      const headers = { 'Content-Type': 'application/json' };
      const body = JSON.stringify(
        demand('open', `while [ -d ${open.directory} ]; do sleep 0.05; done`),
      );
      const submitted = await fetch(`${open.url}/demands`, { method: 'POST', headers, body });
      const cancel = `${submitted.headers.get('Location')}/cancel`;
      await page.goto(stranger.origin);
      // What browsers send without asking the service first.
      const kind = await page.evaluate(async (url) => {
        return (await fetch(url, { method: 'POST', mode: 'no-cors' })).type;
      }, open.url + cancel);
      assert.equal(kind, 'opaque');
      const { events } = await open.get(cancel.replace('/cancel', '/events'));
      assert.ok(!events.some(({ type }) => type === 'cancel_requested'));
      await fetch(open.url + cancel, { method: 'POST' });
    });
  } finally {
    await open.close();
  }
});

inPage(
  'what the service says is text, whatever it looks like',
  { expected: logged(404) },
  async (page) => {
    const markup = '<img src=x onerror=alert(1)><b>bold</b>';
    await submit(page, demand('markup', `echo '${markup}'`));
    await shows(page, '#logs pre', markup);
    await page.getByLabel('Execution id').fill(markup);
    await page.getByRole('button', { name: 'Follow' }).click();
    await shows(page, '#problem', markup);
    assert.equal(await page.locator('main img, main b').count(), 0);
  },
);

inPage('the headers that a page needs are let through', {}, async (page) => {
  const got = await page.evaluate(
    async ({ url, token, demand }) => {
      const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
      const submitted = await fetch(`${url}/demands`, {
        method: 'POST',
        headers: { ...headers, 'Idempotency-Key': 'headers', 'X-Request-Id': 'mine' },
        body: JSON.stringify(demand),
      });
      const read = (name) => submitted.headers.get(name);
      const self = url + read('Location');
      const ended = await fetch(`${self}?wait=50`, { headers });
      const again = await fetch(self, {
        headers: { ...headers, 'If-None-Match': ended.headers.get('ETag') },
      });
      return {
        codes: [submitted.status, ended.status, again.status],
        id: read('X-Request-Id'),
        etag: read('ETag'),
      };
    },
    { url: service.url, token: service.token, demand: demand('headers', 'true') },
  );
  // Compression makes the tag a weak one.
  assert.deepEqual(got, { codes: [201, 200, 304], id: 'mine', etag: 'W/"1"' });
});

inPage('everything in the page has a name and is reached by keyboard', {}, async (page) => {
  await submit(page, demand('named', 'true'));
  await shows(page, '#connection', 'The demand has ended.');
  const names = await page
    .locator('input, textarea, button')
    .evaluateAll((controls) =>
      controls.map(
        ({ labels, textContent }) => labels[0]?.textContent.trim() || textContent.trim(),
      ),
    );
  assert.deepEqual(names, [
    'Address',
    'Token',
    'Execution id',
    'Follow',
    'Demand execution, as JSON',
    'Submit',
    'Cancel',
    'Retry',
  ]);
  await page.getByLabel('Address').focus();
  const reached = [];
  const active = () =>
    page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
  for (let last = await active(); !reached.includes(last); last = await active()) {
    reached.push(last);
    await page.keyboard.press('Tab');
  }
  const all = ['token', 'execution-id', 'Follow', 'demand', 'Submit', 'cancel', 'retry', 'history'];
  for (const wanted of all) {
    assert.ok(reached.includes(wanted), `${wanted} of ${reached}`);
  }
});
