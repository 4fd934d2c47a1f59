// Starts the program: unpacks the module, compiles it once, and hands the page a way to start workers with it.
//
// site.rs puts this text after `hopscopeGlue` (wasm-bindgen's glue as a function) and `hopscopeData` (the module and the
// examples, gzip and base64). Workers are classic workers from a Blob URL, because
//  - only these inherit the page's Content-Security-Policy, so only these are kept from the network too;
//  - only these start from file:// in Chromium;
// and they get the compiled module by message, so it is compiled once whatever their number.
(async () => {
  'use strict';

  const say = (text) => {
    const line = document.getElementById('boot-message');
    if (line) line.textContent = text;
  };

  try {
    const unpack = async (packed) => {
      const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
      return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
    };

    // Where the browser enforces Trusted Types, no other code can turn a string into a script's address.
    const ours = new Set(['sw.js']);
    const createScriptURL = (url) => {
      if (!ours.has(url)) throw new TypeError('not an address of this program');
      return url;
    };
    const policy = self.trustedTypes ? self.trustedTypes.createPolicy('hopscope', { createScriptURL }) : { createScriptURL };

    const workerText = 'const wasm_bindgen = (' + hopscopeGlue.toString() + ')();\n'
      + 'self.onmessage = (event) => { self.onmessage = null; wasm_bindgen.initSync({ module: event.data }); };\n';
    const workerUrl = URL.createObjectURL(new Blob([workerText], { type: 'text/javascript' }));
    ours.add(workerUrl);

    const module = await WebAssembly.compile(await unpack(hopscopeData.module));
    hopscopeData.module = null;

    // What the Rust side finds: see www/src/host.rs.
    self.hopscopeHost = {
      startWorker() {
        const worker = new Worker(policy.createScriptURL(workerUrl));
        worker.postMessage(module);
        return worker;
      },
      async example(name) {
        const text = new TextDecoder().decode(await unpack(hopscopeData.examples[name]));
        return Object.entries(JSON.parse(text)).map(([path, packed]) =>
          [path, Uint8Array.from(atob(packed), (c) => c.charCodeAt(0))]);
      },
      build: hopscopeData.build,
    };

    const glue = hopscopeGlue();
    await glue({ module_or_path: module });
    document.getElementById('boot')?.remove();

    if ('serviceWorker' in navigator && location.protocol.startsWith('http') && hopscopeData.offline) {
      navigator.serviceWorker.register(policy.createScriptURL('sw.js')).catch((e) => console.info('no offline copy:', e.message));
    }
  } catch (error) {
    console.error(error);
    say('Hopscope could not start: ' + (error && error.message ? error.message : error)
      + '. It needs a browser with WebAssembly and DecompressionStream (Chrome 80, Firefox 113, Safari 16.4 or later).');
  }
})();
