// From the address to a page that answers, and what happens to who is faster than the engine. In Chromium.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browser, reportOver, site, startAndStop } from './chromium.mjs';
import { assertSame, dropFiles, example, exampleFiles, filesBelow, native } from './lib.mjs';

const LONG = { timeout: 120_000 };
const RUNS = 7;

startAndStop();

/** A page whose engine is kept back until `release` is called; with `firstFails`, the first request for it fails. */
async function openWithoutEngine(url, firstFails = false) {
  let release;
  const released = new Promise((done) => { release = done; });
  const context = await browser.newContext({ serviceWorkers: 'block' });
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  let asked = 0;
  await page.route(/engine\.js/, async (route) => {
    asked += 1;
    if (firstFails && asked === 1) return route.abort();
    await released;
    return route.continue();
  });
  await page.goto(url, { waitUntil: 'commit' });
  await page.locator('[data-testid="example"]').waitFor({ timeout: 30_000 });
  return { context, page, faults, release, asked: () => asked };
}

test('files dropped before the engine is there wait for it, and the page says so', LONG, async () => {
  const { context, page, faults, release } = await openWithoutEngine(site.url);
  const files = exampleFiles().map(({ name, base64 }) => ({ name: name.replace('/', '-'), base64 }));
  await page.evaluate(dropFiles, files);
  await page.locator('[data-testid="state"]', { hasText: 'loading the engine' }).waitFor();
  assert.equal(await page.locator('[data-testid="input"]').count(), files.length);
  assert.equal(page.workers().length, 0);
  // The rest of the page is at hand meanwhile.
  await page.keyboard.press('?');
  await page.locator('[data-testid="dialog"]').waitFor();
  await page.keyboard.press('Escape');
  release();
  await reportOver(page, files.length);
  assert.equal(await page.locator('[data-testid="input"][data-status="ok"]').count(), files.length);
  assert.deepEqual(faults, []);
  await context.close();
});

test('an example asked for before the engine is there opens when it comes', LONG, async () => {
  const { context, page, faults, release } = await openWithoutEngine(site.url);
  await page.locator('[data-testid="example"]').click();
  await page.getByText('on its way').waitFor();
  release();
  assertSame(await reportOver(page, filesBelow(example).length), native(example, filesBelow(example)));
  assert.equal(await page.getByText('on its way').count(), 0);
  assert.deepEqual(faults, []);
  await context.close();
});

test('where the engine cannot be loaded, the page says so, keeps what was dropped, and tries again when asked', LONG, async () => {
  const { context, page, release, asked } = await openWithoutEngine(site.url, true);
  release();
  const file = exampleFiles().find(({ name }) => name.endsWith('.pcap'));
  await page.getByText('could not be loaded').waitFor();
  await page.evaluate(dropFiles, [{ name: 'one.pcap', base64: file.base64 }]);
  await page.locator('[data-testid="input"][data-status="ok"]').waitFor();
  assert.ok(asked() >= 2);
  assert.equal(await page.getByText('could not be loaded').count(), 0);
  await context.close();
});

/** A page that counts the stages on which it rehearses out of sight: `stages` has how many came, and how many have gone. */
async function openCounting() {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.addInitScript(() => {
    window.stages = { came: 0, gone: 0 };
    const isStage = (node) => node.className === 'rehearsal';
    new MutationObserver((changes) => {
      for (const { addedNodes, removedNodes } of changes) {
        window.stages.came += [...addedNodes].filter(isStage).length;
        window.stages.gone += [...removedNodes].filter(isStage).length;
      }
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto(site.url);
  return { context, page, faults };
}

test('what the page rehearses leaves nothing behind', LONG, async () => {
  const { context, page, faults } = await openCounting();
  // The letters, then the parts.
  await page.waitForFunction(() => window.stages.came === 2 && window.stages.gone === 2);
  assert.equal(new URL(page.url()).hash, '');
  assert.equal(await page.locator('[data-testid="input"], [data-testid="conversation"], [data-testid="hop"]').count(), 0);
  const report = JSON.parse(await page.evaluate(() => window.hopscopeReport()));
  assert.deepEqual([report.inputs, report.paths], [[], []]);
  // One reader, one analyst.
  assert.equal(page.workers().length, 2);
  assert.deepEqual(faults, []);
  await context.close();
});

test('what is given while the page rehearses is what is shown', LONG, async () => {
  const { context, page, faults } = await openCounting();
  await page.waitForFunction(() => window.stages.came === 2);
  await page.evaluate(dropFiles, exampleFiles());
  assertSame(await reportOver(page, filesBelow(example).length), native(example, filesBelow(example)));
  await page.waitForFunction(() => window.stages.gone === 2);
  assert.equal(await page.locator('[data-testid="input"]').count(), filesBelow(example).length);
  assert.deepEqual(faults, []);
  await context.close();
});

test('from the address to a page that answers', LONG, async () => {
  const times = [];
  for (let run = 0; run < RUNS; run += 1) {
    const context = await browser.newContext();
    const page = await context.newPage();
    // The first view is put into the document after everything that listens: drops, pastes, keys.
    await page.addInitScript(() => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector('[data-testid="example"]')) return;
        observer.disconnect();
        window.interactiveAt = performance.now();
      }).observe(document, { childList: true, subtree: true });
    });
    await page.goto(site.url, { waitUntil: 'commit' });
    await page.waitForFunction(() => window.interactiveAt);
    times.push(await page.evaluate(() => window.interactiveAt));
    await context.close();
  }
  times.sort((a, b) => a - b);
  console.log(`interactive after ${times[times.length >> 1].toFixed(0)} ms (median of ${RUNS}: ${times.map((t) => t.toFixed(0)).join(', ')})`);
});
