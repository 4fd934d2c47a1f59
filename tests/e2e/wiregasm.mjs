// How fast Wiregasm (Wireshark as WebAssembly, from npm) opens captures in the same browser, to stand beside ours. Run by `cargo xtask bench`,
// with CHROME: node wiregasm.mjs PACKAGE RUNS FILE... prints one JSON object for each file, times in milliseconds, of all runs.
// PACKAGE is the folder of the installed package; nothing of it is part of this project.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';
import { QUIET } from './quiet.mjs';

const { CHROME } = process.env;
const [folder, runs, ...files] = process.argv.slice(2);
const MIME = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.data': 'application/octet-stream' };

const server = createServer((request, response) => {
  const name = basename(request.url);
  const type = MIME[name.slice(name.lastIndexOf('.'))];
  if (!type) {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!DOCTYPE html><input type="file">');
    return;
  }
  response.writeHead(200, { 'Content-Type': type }).end(readFileSync(join(folder, 'dist', name)));
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const origin = `http://127.0.0.1:${server.address().port}`;

/** In the page: a worker that starts Wiregasm, then opens the file and asks for the first rows of its list. */
async function open(base) {
  const work = async ({ data: { file, base: from } }) => {
    try {
      importScripts(`${from}/wiregasm.js`);
      const began = performance.now();
      const wiregasm = await loadWiregasm({ locateFile: (name) => `${from}/${name}`, print() {}, printErr() {}, handleStatus() {} });
      wiregasm.init();
      const started = performance.now();
      wiregasm.FS.writeFile('/uploads/capture', new Uint8Array(await file.arrayBuffer()));
      const session = new wiregasm.DissectSession('/uploads/capture');
      const { code, summary } = session.load();
      const loaded = performance.now();
      const rows = session.getFrames('', 0, 40).frames.size();
      const shown = performance.now();
      postMessage({ code, packets: summary.packet_count, rows, start: started - began, load: loaded - started, firstRows: shown - started });
    } catch (error) {
      postMessage({ error: String(error?.stack ?? error) });
    }
  };
  const worker = new Worker(URL.createObjectURL(new Blob([`onmessage = ${work}`])));
  worker.postMessage({ file: document.querySelector('input').files[0], base });
  const said = await new Promise((done) => {
    worker.onmessage = (event) => done(event.data);
    worker.onerror = (event) => done({ error: event.message });
  });
  worker.terminate();
  return said;
}

for (const file of files) {
  const all = { start: [], load: [], firstRows: [], packets: [] };
  for (let run = 0; run < Number(runs); run += 1) {
    const browser = await chromium.launch({ executablePath: CHROME, args: QUIET });
    const page = await browser.newPage();
    await page.goto(origin);
    await page.locator('input').setInputFiles(file);
    const said = await page.evaluate(open, origin);
    await browser.close();
    if (said.error || said.code !== 0 || said.rows === 0) throw new Error(`${file}: ${JSON.stringify(said)}`);
    for (const what of Object.keys(all)) all[what].push(said[what]);
  }
  console.log(JSON.stringify({ file, ...all }));
}
server.close();
