// The service's own page of its interface.

import assert from 'node:assert/strict';
import test from 'node:test';

import { launch, withPage } from './browser.js';
import { Service } from './servers.js';

test('the page at /docs shows every operation, and comes from the service alone', async () => {
  const browser = await launch();
  const service = await Service.start({ origins: [] });
  try {
    await withPage(browser, { origins: [service.url] }, async (page) => {
      await page.goto(`${service.url}/docs`);
      const { paths } = await service.get('/openapi.json');
      const methods = Object.entries(paths).flatMap(([path, item]) =>
        Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
      );
      const operations = page.locator('.opblock');
      await operations.nth(methods.length - 1).waitFor();
      const shown = await operations.evaluateAll((blocks) =>
        blocks.map((block) => {
          const method = block.querySelector('.opblock-summary-method').textContent;
          return `${method} ${block.querySelector('[data-path]').dataset.path}`;
        }),
      );
      assert.deepEqual(shown.sort(), methods.sort());
    });
  } finally {
    await browser.close();
    await service.close();
  }
});
