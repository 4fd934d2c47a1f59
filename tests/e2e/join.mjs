// The bench `join` in Chromium, built as the engine is. Run by `cargo xtask bench`, with CHROME: node join.mjs FOLDER prints its table.
// FOLDER has join.js and join_bg.wasm, bound for no modules.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { QUIET } from './quiet.mjs';

const [folder] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROME, args: QUIET });
const page = await browser.newPage();
// As a script of the page it would look for its own address, and this page has none.
await page.evaluate(`${readFileSync(join(folder, 'join.js'), 'utf8')}; globalThis.wasm_bindgen = wasm_bindgen;`);
const table = await page.evaluate(async (base64) => {
  const module = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  await wasm_bindgen({ module_or_path: module });
  return wasm_bindgen.table();
}, readFileSync(join(folder, 'join_bg.wasm')).toString('base64'));
console.log(table);
await browser.close();
