// Pages in headless Chromium, and what holds for all of them.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

/** QUIC would look for other hosts. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--disable-quic'],
  });

/**
 * Lets `act` use a new page, which must not call other `origins`, break its own rules, or complain
 * of anything but what is `expected`: browsers log every answer that is an error.
 */
export async function withPage(browser, { origins, expected = [] }, act) {
  const context = await browser.newContext();
  const complaints = [];
  const called = [];
  context.on('request', (request) => called.push(request));
  context.on('weberror', (error) => complaints.push(String(error.error())));
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  // Told on the console, so that it is heard whichever document it comes from.
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.violatedDirective} refuses ${event.blockedURI}`);
    });
  });
  try {
    await act(await context.newPage(), called);
  } finally {
    await context.close();
  }
  const unexpected = complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
  assert.deepEqual(unexpected, []);
  const others = called.map((request) => new URL(request.url()).origin);
  assert.deepEqual(
    others.filter((origin) => !['null', ...origins].includes(origin)),
    [],
  );
}
