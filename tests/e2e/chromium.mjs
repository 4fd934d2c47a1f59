// Chromium for the tests: started quietly, pages in profiles of their own.
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import { hasReportOver, startSite } from './lib.mjs';
import { QUIET } from './quiet.mjs';

/** The one that the tests share. */
export let browser;
/** The built site, served. */
export let site;

/** Starts Chromium and the site before a file's tests, and stops both after them. */
export function startAndStop() {
  before(async () => {
    browser = await chromium.launch({ executablePath: process.env.CHROME, args: QUIET });
    site = await startSite();
  });
  after(async () => {
    await browser?.close();
    await site?.stop();
  });
}

/** A page of its own, in a profile of its own; `faults` gets whatever went wrong in it. */
export async function open(url, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.goto(url);
  await page.locator('[data-testid="example"]').waitFor({ timeout: 30_000 });
  return { context, page, faults };
}

/** The report's JSON, as soon as it is that over so many inputs. */
export async function reportOver(page, count) {
  await page.waitForFunction(hasReportOver, count, { timeout: 60_000 });
  return page.evaluate(() => window.hopscopeReport());
}
