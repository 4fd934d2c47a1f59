// For Node.js: the engine is ready as soon as it is imported; init() is there so that the same code runs in browsers.
import { readFileSync } from 'node:fs';
import { initSync as initEngine } from './engine.js';

initEngine({ module: readFileSync(new URL('./engine_bg.wasm', import.meta.url)) });

export async function init() {}
export function initSync() {}
export default init;
export { analyze, analyzeToJson, Analysis } from './engine.js';
