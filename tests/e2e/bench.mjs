// How fast captures are read in Chromium, beside raw reading of the same files in the same run. Run by `cargo xtask bench`:
// node bench.mjs RUNS FILE... prints one JSON object for each file, times in milliseconds, of all runs.
import { readFileSync, readdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { QUIET } from './quiet.mjs';
import { startSite } from './lib.mjs';

const [runs, ...files] = process.argv.slice(2);
const LONG = { timeout: 600_000 };

/** In a page without a policy: a worker that copies a file into WebAssembly's memory, two slices in flight, and does nothing else. */
async function readRaw() {
  const work = async ({ data: { file, slice } }) => {
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: slice >> 16 }).buffer);
    const begun = performance.now();
    const part = (at) => (at < file.size ? file.slice(at, at + slice).arrayBuffer() : null);
    let [now, next] = [part(0), part(slice)];
    for (let at = 0; now; at += slice) {
      const bytes = new Uint8Array(await now);
      [now, next] = [next, part(at + 2 * slice)];
      memory.set(bytes);
    }
    postMessage(performance.now() - begun);
  };
  const worker = new Worker(URL.createObjectURL(new Blob([`onmessage = ${work}`])));
  const file = document.querySelector('input').files[0];
  const times = [];
  for (const slice of [1 << 20, 4 << 20, 8 << 20, 16 << 20]) {
    worker.postMessage({ file, slice });
    times.push(await new Promise((done) => { worker.onmessage = (event) => done(event.data); }));
  }
  worker.terminate();
  return Math.min(...times);
}

/** In the page, before a file is given: notes when what is shown first. */
function watch() {
  const seen = { longest: 0 };
  const since = (what) => { seen[what] ??= performance.now() - seen.begun; };
  const look = () => {
    if (document.querySelector('[data-testid="input"][data-status="ok"]')) since('read');
    if (document.querySelector('[data-testid="conversation"]')) since('firstRows');
    const took = document.querySelector('[data-testid="state"]')?.textContent.match(/analysed in (\d+) ms/);
    if (took && seen.read !== undefined) {
      since('whole');
      seen.analysis = Number(took[1]);
    }
  };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) seen.longest = Math.max(seen.longest, entry.duration);
  }).observe({ type: 'longtask' });
  const observer = new MutationObserver(look);
  document.querySelector('[data-testid="file-input"]').addEventListener('change', () => {
    seen.begun = performance.now();
    observer.observe(document.body, { attributes: true, childList: true, characterData: true, subtree: true });
  }, true);
  window.benchSeen = seen;
}

/** The most memory that a page's process had, in kB (`proc(5)`): the largest of the browser's renderers. */
function peakOfRenderers() {
  const peaks = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer')) return 0;
      return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0);
    } catch {
      return 0; // It has ended.
    }
  });
  return Math.max(0, ...peaks);
}

const site = await startSite();
for (const file of files) {
  const all = { raw: [], read: [], firstRows: [], whole: [], analysis: [], longest: [], peak: [] };
  for (let run = 0; run < Number(runs); run += 1) {
    // A browser of its own: what one file took is not the next one's.
    const browser = await chromium.launch({ executablePath: process.env.CHROME, args: QUIET });
    const plain = await browser.newPage();
    await plain.goto(site.plain);
    await plain.setContent('<input type="file">');
    await plain.locator('input').setInputFiles(file);
    all.raw.push(await plain.evaluate(readRaw));
    await plain.close();
    const page = await browser.newPage();
    await page.goto(site.url);
    await page.locator('[data-testid="example"]').waitFor(LONG);
    // Nobody drops a file in the first instant: the engine is there.
    await page.waitForTimeout(1500);
    await page.evaluate(watch);
    await page.locator('[data-testid="file-input"]').setInputFiles(file);
    await page.waitForFunction(() => window.benchSeen.whole, null, LONG);
    const seen = await page.evaluate(() => window.benchSeen);
    for (const what of ['read', 'firstRows', 'whole', 'analysis', 'longest']) all[what].push(seen[what]);
    all.peak.push(peakOfRenderers());
    await browser.close();
  }
  console.log(JSON.stringify({ file, ...all }));
}
await site.stop();
