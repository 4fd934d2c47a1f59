// The built page in Chromium, as a person uses it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  actWithText, assertSame, assertSevenHops, dropFiles, example, exampleFiles, filesBelow, hopsShown, inWorkers, leakFromWorkers, native, singleHtml, startCanary, startSite,
  tryToLeak, wrongInputs,
} from './lib.mjs';
import { browser, open, reportOver, site, startAndStop } from './chromium.mjs';

const LONG = { timeout: 120_000 };

startAndStop();

/** The ping's hops: the one conversation of the founding example. */
async function hops(page) {
  await page.locator('[data-testid="conversation"]', { hasText: 'ICMP' }).first().click();
  await page.locator('[data-testid="hop"]').first().waitFor();
  return page.evaluate(hopsShown);
}

/** The example's files in one folder, `/` in their names replaced: what pickers and drops of files, not folders, tell. */
function flattened(which) {
  const flat = mkdtempSync(join(tmpdir(), 'hopscope-e2e-'));
  const names = filesBelow(example).filter(which).map((name) => {
    const flatName = name.replace('/', '-');
    writeFileSync(join(flat, flatName), readFileSync(join(example, name)));
    return flatName;
  });
  return { flat, names };
}

/** A real drag from outside the browser: files and folders by their paths. */
async function drag(page, paths) {
  const client = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) await client.send('Input.dispatchDragEvent', { type, x: 200, y: 300, data });
}

test('files dropped on the page: the seven hops, by name', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  const files = exampleFiles().map(({ name, base64 }) => ({ name: name.replace('/', '-'), base64 }));
  await page.evaluate(dropFiles, files);
  await reportOver(page, files.length);
  assertSevenHops(await hops(page));
  assert.deepEqual(await page.locator('[data-testid="input"][data-status="ok"]').count(), files.length);
  assert.deepEqual(faults, []);
  await context.close();
});

test('a folder dropped on the page: the same bytes as the command line', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  await drag(page, [example.replace(/\/$/, '')]);
  const shown = await reportOver(page, filesBelow(example).length);
  assertSame(shown, native(dirname(example.replace(/\/$/, '')), ['inputs']));
  assertSevenHops(await hops(page));
  assert.deepEqual(faults, []);
  await context.close();
});

test('files chosen with the picker, in two goes: the same bytes as the command line over all', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  const { flat, names } = flattened((name) => !name.endsWith('arp.txt'));
  const paths = names.map((name) => join(flat, name));
  const picker = () => page.locator('[data-testid="file-input"]').first();
  await picker().setInputFiles(paths.slice(0, 5));
  await reportOver(page, 5);
  await picker().setInputFiles(paths.slice(5));
  assertSame(await reportOver(page, names.length), native(flat, names));
  rmSync(flat, { recursive: true });
  assert.deepEqual(faults, []);
  await context.close();
});

test('the example is one click away: the same bytes as the command line', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  await page.locator('[data-testid="example"]').click();
  assertSame(await reportOver(page, filesBelow(example).length), native(example, filesBelow(example)));
  assertSevenHops(await hops(page));
  assert.deepEqual(faults, []);
  await context.close();
});

/** Inputs of which one takes several reads. */
const several = fileURLToPath(new URL('../cases/random-3/inputs', import.meta.url));

/** What a browser's streams of files may do, as scripts for workers. */
const STREAMS = {
  'has none': 'delete Blob.prototype.stream;',
  'has none to read into given memory':
    'const get = ReadableStream.prototype.getReader; ReadableStream.prototype.getReader = function (o) { if (o) throw new TypeError(); return get.call(this); };',
  'fails at every second read': 'let n = 0; const read = ReadableStreamBYOBReader.prototype.read; ReadableStreamBYOBReader.prototype.read = '
    + 'function (view) { n += 1; return n % 2 ? read.call(this, view) : Promise.reject(new Error("torn")); };',
  'hangs at the second read': 'let n = 0; const read = ReadableStreamBYOBReader.prototype.read; ReadableStreamBYOBReader.prototype.read = '
    + 'function (view) { n += 1; return n === 2 ? new Promise(() => {}) : read.call(this, view); };',
};

for (const [what, code] of Object.entries(STREAMS)) {
  test(`a browser whose stream of a file ${what}: the same bytes as the command line`, LONG, async () => {
    const context = await browser.newContext();
    await context.addInitScript({ content: inWorkers(`${code} new BroadcastChannel('streams').postMessage('');`) });
    const page = await context.newPage();
    await page.addInitScript(() => {
      self.workersChanged = 0;
      self.streams = new BroadcastChannel('streams');
      self.streams.onmessage = () => { self.workersChanged += 1; };
    });
    await page.goto(site.url);
    await page.locator('[data-testid="example"]').waitFor({ timeout: 30_000 });
    await drag(page, [several]);
    assertSame(await reportOver(page, filesBelow(several).length), native(dirname(several), ['inputs']));
    assert.ok(await page.evaluate(() => self.workersChanged) >= 2, 'the workers ran the script');
    await context.close();
  });
}

test('wrong inputs: one clear message each, and the rest is analysed', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  const wrong = wrongInputs();
  const files = wrong.map(({ name, bytes }) => ({ name, base64: bytes.toString('base64') }));
  const right = exampleFiles().map(({ name, base64 }) => ({ name: name.replace('/', '-'), base64 }));
  await page.evaluate(dropFiles, [...files, ...right]);
  const report = JSON.parse(await reportOver(page, files.length + right.length));
  for (const { name, status } of wrong) {
    const input = report.inputs.find((i) => i.name === name);
    assert.ok(status.includes(input.status), `${name} is ${input.status}`);
    assert.ok(input.message?.length > 10, `${name} says why: ${input.message}`);
    const row = page.locator(`[data-testid="input"][data-name="${name}"]`);
    assert.equal(await row.getAttribute('data-status'), input.status);
    const base = await row.locator('.input-name .base').boundingBox();
    assert.ok(base && base.width > 40, `the name of ${name} can be read`);
    const text = await row.innerText();
    assert.equal(text.split(input.message).length, 2, `${name} says it once: ${text}`);
  }
  assertSevenHops(await hops(page));
  assert.deepEqual(faults, []);
  await context.close();
});

test('after it has loaded, the page asks nobody for anything', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  // The service worker fetches its copy of the page right after the first visit.
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForTimeout(500);
  const before = site.requests.length;
  asked.length = 0;
  await page.locator('[data-testid="example"]').click();
  await reportOver(page, filesBelow(example).length);
  await hops(page);
  await page.waitForTimeout(500);
  // Nothing reached the page's own server; what the browser asked for at all was its icon, from the cache.
  assert.deepEqual(site.requests.slice(before), []);
  assert.deepEqual(asked.filter((url) => url !== `${site.url}icon.svg` && !url.startsWith('blob:') && !url.startsWith('data:')), []);
  assert.deepEqual(faults, []);
  await context.close();
});

test('while it loads, the page asks its own server only', LONG, async () => {
  const context = await browser.newContext();
  const asked = [];
  context.on('request', (request) => asked.push(request.url()));
  const page = await context.newPage();
  await page.goto(site.url);
  await page.locator('[data-testid="example"]').waitFor();
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForTimeout(500);
  assert.ok(asked.length > 0);
  assert.deepEqual(asked.filter((url) => !url.startsWith(site.url) && !url.startsWith('blob:') && !url.startsWith('data:')), []);
  await context.close();
});

test('nothing gets out, of the page or of any of its workers, however it is tried', LONG, async () => {
  const canary = await startCanary();
  const { context, page } = await open(site.url);
  await page.locator('[data-testid="example"]').click();
  await reportOver(page, filesBelow(example).length);
  // The workers that are there, and one more, started as the page starts them: readers end when they have read.
  const ours = page.waitForEvent('worker');
  await page.evaluate(() => { window.oneMore = window.hopscopeHost.startWorker(); });
  await ours;
  const workers = page.workers();
  assert.ok(workers.length >= 2, `the page's own and one more, not ${workers.length}`);
  // The function goes in as text: where the policy forbids eval, the debugger may still evaluate.
  const leak = (who) => `(${tryToLeak})(${canary.port}, '${who}')`;
  const inPage = await page.evaluate(leak('page'));
  assert.ok(inPage.includes('fetch') && inPage.includes('image') && inPage.includes('beacon') && inPage.includes('webSocket'), String(inPage));
  for (const [i, worker] of workers.entries()) {
    const tried = await worker.evaluate(leak(`worker${i}`));
    for (const way of ['fetch', 'xhr', 'webSocket', 'importScripts']) assert.ok(tried.includes(way), `worker ${i} has ${way}: ${tried}`);
  }
  assert.deepEqual(canary.hits, []);

  // The same attempts from a page with no policy do get out: the canary hears.
  const plain = await context.newPage();
  await plain.goto(site.plain);
  await plain.evaluate(leak('plain'));
  for (const way of ['fetch', 'fetchNoCors', 'xhr', 'webSocket', 'eventSource', 'beacon', 'image', 'frame']) {
    assert.ok(canary.hits.includes(`/plain/${way}`), `the canary hears ${way}: ${canary.hits}`);
  }
  await context.close();
  canary.stop();
});

test('nothing gets out of the workers that the page starts for itself, from their first moment on', LONG, async () => {
  const canary = await startCanary();
  for (const url of [site.url, singleHtml]) {
    const context = await browser.newContext();
    await context.addInitScript({ content: leakFromWorkers(canary.port) });
    const page = await context.newPage();
    await page.goto(url);
    await page.locator('[data-testid="example"]').click();
    const report = await reportOver(page, filesBelow(example).length);
    assertSame(report, native(example, filesBelow(example)));
    await page.waitForFunction(() => self.workersStarted >= 2 && self.leakTries.length === self.workersStarted, undefined, { timeout: 60_000 });
    for (const tried of await page.evaluate(() => self.leakTries)) {
      for (const way of ['fetch', 'xhr', 'webSocket', 'importScripts']) assert.ok(tried.includes(way), `${way}: ${tried}`);
    }
    assert.deepEqual(canary.hits, []);
    await context.close();
  }
  canary.stop();
});

test('no text becomes markup or code: Trusted Types and the policy refuse it', LONG, async () => {
  const { context, page } = await open(site.url);
  await page.locator('[data-testid="example"]').click();
  await reportOver(page, filesBelow(example).length);
  // Given as text: the debugger may evaluate where the page may not.
  assert.deepEqual(await page.evaluate(`(${actWithText})()`), []);
  const plain = await context.newPage();
  await plain.goto(site.plain);
  const done = await plain.evaluate(`(${actWithText})()`);
  for (const act of ['innerHTML', 'functionOfText', 'script', 'policy']) assert.ok(done.includes(act), `without a policy ${act} goes: ${done}`);
  await context.close();
});

test('the second visit needs no network', LONG, async () => {
  const own = await startSite();
  const { context, page, faults } = await open(own.url);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await own.stop();
  await page.reload();
  await page.locator('[data-testid="example"]').click();
  await reportOver(page, filesBelow(example).length);
  assertSevenHops(await hops(page));
  assert.deepEqual(faults, []);
  await context.close();
});

test('the single HTML file works from the disk, with no network', LONG, async () => {
  const { context, page, faults } = await open(singleHtml, { offline: true });
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  const { flat, names } = flattened(() => true);
  await drag(page, names.map((name) => join(flat, name)));
  assertSame(await reportOver(page, names.length), native(flat, names));
  rmSync(flat, { recursive: true });
  assertSevenHops(await hops(page));
  assert.deepEqual(asked.filter((url) => !url.startsWith('blob:') && !url.startsWith('data:')), []);
  assert.deepEqual(faults, []);
  await context.close();
});
