// How fast captures are read in a browser, beside raw reading of the same files in the same run. Run by `cargo xtask bench`, with CHROME or
// FIREFOX: node bench.mjs RUNS FILE... prints one JSON object for each file, times in milliseconds, of all runs.
import { readFileSync, readdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';
import { QUIET } from './quiet.mjs';
import { startSite, until } from './lib.mjs';

const { CHROME, FIREFOX } = process.env;
const [runs, ...files] = process.argv.slice(2);
const LONG = { timeout: 600_000 };
const INPUT = '[data-testid="file-input"]';

/** A browser of its own for each run: what one file took is not the next one's. */
function launch() {
  if (CHROME) return chromium.launch({ executablePath: CHROME, args: QUIET });
  return puppeteer.launch({ browser: 'firefox', executablePath: FIREFOX, headless: true, protocolTimeout: LONG.timeout });
}

const upload = async (page, selector, file) => (CHROME ? page.locator(selector).first().setInputFiles(file) : (await page.$(selector)).uploadFile(file));
// Not in every frame, as both would: a page that is asked sixty times a second has sixty frames to make.
const SELDOM = { ...LONG, polling: 100 };
const waitFor = (page, what) => (CHROME ? page.waitForFunction(what, null, SELDOM) : until(page, what, SELDOM));

/**
 * In a page without a policy: a worker that copies a file into WebAssembly's memory and does nothing else; the best of two slices in flight, of four
 * sizes, and of a stream into memory that is used again, where the browser has one.
 */
async function readRaw() {
  const work = async ({ data: { file, slice } }) => {
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: (slice || 4 << 20) >> 16 }).buffer);
    const begun = performance.now();
    if (slice) {
      const part = (at) => (at < file.size ? file.slice(at, at + slice).arrayBuffer() : null);
      let [now, next] = [part(0), part(slice)];
      for (let at = 0; now; at += slice) {
        const bytes = new Uint8Array(await now);
        [now, next] = [next, part(at + 2 * slice)];
        memory.set(bytes);
      }
    } else {
      const reader = file.stream().getReader({ mode: 'byob' });
      let view = new Uint8Array(4 << 20);
      for (;;) {
        const { value, done } = await reader.read(view);
        if (done) break;
        memory.set(value);
        view = new Uint8Array(value.buffer);
      }
    }
    postMessage(performance.now() - begun);
  };
  const worker = new Worker(URL.createObjectURL(new Blob([`onmessage = ${work}`])));
  const file = document.querySelector('input').files[0];
  const times = [];
  for (const slice of [1 << 20, 4 << 20, 8 << 20, 16 << 20, 0]) {
    worker.postMessage({ file, slice });
    times.push(await new Promise((done) => { worker.onmessage = (event) => done(event.data); }));
  }
  worker.terminate();
  const stream = times.pop();
  return { slices: Math.min(...times), stream };
}

/** In the page, before a file is given: notes when what is shown first. */
function watch() {
  const seen = { longest: 0, longestBefore: 0 };
  const since = (what) => { seen[what] ??= performance.now() - seen.begun; };
  const look = () => {
    const read = document.querySelector('[data-testid="input"][data-status="ok"]');
    if (read) {
      since('read');
      seen.ingest ??= Number(read.dataset.readMs);
    }
    if (document.querySelector('[data-testid="conversation"]')) since('firstRows');
    const state = document.querySelector('[data-testid="state"]');
    const took = state?.textContent.match(/analysed in (\d+) ms/);
    if (took && seen.read !== undefined && state.dataset.settled === 'true') {
      since('whole');
      seen.analysis = Number(took[1]);
    }
  };
  const blocked = (begun, ms) => {
    const when = begun < (seen.begunAt ?? Infinity) ? 'longestBefore' : 'longest';
    seen[when] = Math.max(seen[when], ms);
  };
  if (PerformanceObserver.supportedEntryTypes.includes('longtask')) {
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) blocked(entry.startTime, entry.duration);
    }).observe({ type: 'longtask', buffered: true });
  } else {
    // Firefox tells no long tasks: what comes every few milliseconds comes late by them.
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      if (now - last > 50) blocked(last, now - last);
      last = now;
    }, 4);
  }
  const observer = new MutationObserver(look);
  document.querySelector('[data-testid="file-input"]').addEventListener('change', () => {
    seen.begun = seen.begunAt = performance.now();
    observer.observe(document.body, { attributes: true, childList: true, characterData: true, subtree: true });
  }, true);
  window.benchSeen = seen;
}

/** The most memory that a page's process had, in kB (`proc(5)`): the largest of the browser's processes that run pages. */
function peakOfPages() {
  const peaks = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!command.includes(CHROME ? '--type=renderer' : '-contentproc')) return 0;
      return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0);
    } catch {
      return 0; // It has ended.
    }
  });
  return Math.max(0, ...peaks);
}

/** Gives a file to the page, so many milliseconds after the page has answered. */
async function given(browser, file, after) {
  const page = await browser.newPage();
  await page.goto(site.url);
  await page.waitForSelector('[data-testid="example"]', LONG);
  await new Promise((done) => setTimeout(done, after));
  await page.evaluate(watch);
  await upload(page, INPUT, file);
  await waitFor(page, () => window.benchSeen.whole);
  const seen = await page.evaluate(() => window.benchSeen);
  return { page, seen };
}

const site = await startSite();
for (const file of files) {
  const all = { slices: [], stream: [], ingest: [], read: [], firstRows: [], firstRowsAtOnce: [], whole: [], analysis: [], longest: [], longestBefore: [], peak: [] };
  for (let run = 0; run < Number(runs); run += 1) {
    const browser = await launch();
    const plain = await browser.newPage();
    await plain.goto(site.plain);
    await plain.setContent('<input type="file">');
    await upload(plain, 'input', file);
    const raw = await plain.evaluate(readRaw);
    all.slices.push(raw.slices);
    all.stream.push(raw.stream);
    await plain.close();
    const { page, seen } = await given(browser, file, 3000);
    for (const what of ['ingest', 'read', 'firstRows', 'whole', 'analysis', 'longest', 'longestBefore']) all[what].push(seen[what]);
    all.peak.push(peakOfPages());
    await page.close();
    await browser.close();
    const another = await launch();
    all.firstRowsAtOnce.push((await given(another, file, 0)).seen.firstRows);
    await another.close();
  }
  console.log(JSON.stringify({ file, ...all }));
}
await site.stop();
