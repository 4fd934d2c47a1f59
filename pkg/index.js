// For browsers and bundlers: await init() once, before anything else.
export { default, default as init, initSync, analyze, analyzeToJson, Analysis } from './engine.js';
