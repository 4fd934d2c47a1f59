// The built page in Firefox: what differs between browsers is workers, policies and file://.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import puppeteer from 'puppeteer-core';
import {
  assertSame, assertSevenHops, dropFiles, example, exampleFiles, filesBelow, hasReportOver, hopsShown, leakFromWorkers, native, singleHtml, startCanary, startSite, tryToLeak, until,
} from './lib.mjs';

const LONG = { timeout: 180_000 };

let browser;
let site;

before(async () => {
  browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX,
    headless: true,
    // As for people: files are of different origins.
    extraPrefsFirefox: { 'security.fileuri.strict_origin_policy': true },
  });
  site = await startSite();
});

after(async () => {
  await browser?.close();
  await site?.stop();
});

async function open(url) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(url);
  await page.waitForSelector('[data-testid="example"]', { timeout: 30_000 });
  return { context, page };
}

async function dropExample(page) {
  const files = exampleFiles().map(({ name, base64 }) => ({ name: name.replace('/', '-'), base64 }));
  await page.evaluate(dropFiles, files);
  await until(page, hasReportOver, {}, files.length);
}

async function hops(page) {
  await page.click('[data-testid="conversation"]');
  await page.waitForSelector('[data-testid="hop"]');
  return page.evaluate(hopsShown);
}

test('files dropped on the page: the seven hops, by name', LONG, async () => {
  const { context, page } = await open(site.url);
  await dropExample(page);
  assertSevenHops(await hops(page));
  await context.close();
});

test('the example is one click away: the same bytes as the command line', LONG, async () => {
  const { context, page } = await open(site.url);
  await page.click('[data-testid="example"]');
  await until(page, hasReportOver, {}, filesBelow(example).length);
  assertSame(await page.evaluate(() => window.hopscopeReport()), native(example, filesBelow(example)));
  await context.close();
});

test('the single HTML file works from the disk', LONG, async () => {
  const { context, page } = await open(singleHtml);
  await dropExample(page);
  assertSevenHops(await hops(page));
  await context.close();
});

test('nothing gets out of the page, however it is tried', LONG, async () => {
  const canary = await startCanary();
  const { context, page } = await open(site.url);
  const tried = await page.evaluate(tryToLeak, canary.port, 'page');
  assert.ok(tried.includes('fetch') && tried.includes('image') && tried.includes('webSocket'), String(tried));
  assert.deepEqual(canary.hits, []);

  const plain = await context.newPage();
  await plain.goto(site.plain);
  await plain.evaluate(tryToLeak, canary.port, 'plain');
  for (const way of ['fetch', 'xhr', 'webSocket', 'image', 'frame']) {
    assert.ok(canary.hits.includes(`/plain/${way}`), `the canary hears ${way}: ${canary.hits}`);
  }
  await context.close();
  canary.stop();
});

test('nothing gets out of the workers that the page starts for itself, from their first moment on', LONG, async () => {
  const canary = await startCanary();
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.evaluateOnNewDocument(leakFromWorkers(canary.port));
  await page.goto(site.url);
  await page.waitForSelector('[data-testid="example"]', { timeout: 30_000 });
  await page.click('[data-testid="example"]');
  await until(page, hasReportOver, {}, filesBelow(example).length);
  assertSame(await page.evaluate(() => window.hopscopeReport()), native(example, filesBelow(example)));
  await until(page, () => self.workersStarted >= 2 && self.leakTries.length === self.workersStarted);
  for (const tried of await page.evaluate(() => self.leakTries)) {
    for (const way of ['fetch', 'xhr', 'webSocket', 'importScripts']) assert.ok(tried.includes(way), `${way}: ${tried}`);
  }
  assert.deepEqual(canary.hits, []);
  await context.close();
  canary.stop();
});
