// Starts the page, then brings the engine: the page can be used while that is on its way.
//
// site.rs puts this text after `hopscopePageGlue` (wasm-bindgen's glue as a function) and `hopscopeData` (the page's module,
// gzip and base64). The engine is a script of its own that sets `hopscopeEngine`: its glue, its module, the examples. A script,
// because the policy allows no other request; with the page in one file, it stands below this one.
//
// Workers are classic workers from a Blob URL, because
//  - only these inherit the page's Content-Security-Policy, so only these are kept from the network too;
//  - only these start from file:// in Chromium;
// and they get the compiled module by message, so it is compiled once whatever their number.
(async () => {
  'use strict';

  const say = (text) => {
    const line = document.getElementById('boot-message');
    if (line) line.textContent = text;
  };

  const bytesOf = (packed) => {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(packed);
    const text = atob(packed);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return bytes;
  };

  const unpack = (packed) =>
    new Response(new Blob([bytesOf(packed)]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();

  try {
    // Where the browser enforces Trusted Types, no other code can turn a string into a script's address.
    const ours = new Set(['sw.js', hopscopeData.engine]);
    const createScriptURL = (url) => {
      if (!ours.has(url)) throw new TypeError('not an address of this program');
      return url;
    };
    const policy = self.trustedTypes ? self.trustedTypes.createPolicy('hopscope', { createScriptURL }) : { createScriptURL };

    const fetched = (url) => new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.onload = resolve;
      script.onerror = () => {
        script.remove();
        reject(new Error('its script could not be fetched'));
      };
      script.src = policy.createScriptURL(url);
      document.head.append(script);
    });
    const parsed = () => new Promise((resolve) => {
      if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', resolve, { once: true });
      else resolve();
    });

    // What a worker is started from, once the engine is there.
    let start = null;
    const bring = async () => {
      if (!self.hopscopeEngine) await (hopscopeData.engine ? fetched(hopscopeData.engine) : parsed());
      const { build, glue, module } = self.hopscopeEngine;
      if (build !== hopscopeData.build) throw new Error('it is of another build than this page; reload the page');
      const compiled = await WebAssembly.compile(await unpack(module));
      // Firefox (140 ESR) lets a worker's event sources past the policy that the worker inherited; a worker in a worker has them again.
      const text = 'delete self.EventSource; delete self.Worker;\n'
        + 'const wasm_bindgen = (' + glue.toString() + ')();\n'
        + 'self.onmessage = (event) => { self.onmessage = null; wasm_bindgen.initSync({ module: event.data }); };\n';
      const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
      ours.add(url);
      start = { module: compiled, url };
      self.hopscopeEngine.module = null;
      if ('serviceWorker' in navigator && location.protocol.startsWith('http') && hopscopeData.engine) {
        navigator.serviceWorker.register(policy.createScriptURL('sw.js')).catch((e) => console.info('no offline copy:', e.message));
      }
    };
    let coming = null;

    // What the Rust side finds: see www/src/host.rs.
    self.hopscopeHost = {
      engine() {
        coming ??= bring().catch((error) => {
          coming = null;
          throw error;
        });
        return coming;
      },
      startWorker() {
        if (!start) throw new Error('the engine is not there yet');
        const worker = new Worker(policy.createScriptURL(start.url));
        worker.postMessage(start.module);
        return worker;
      },
      async example(name) {
        const text = new TextDecoder().decode(await unpack(self.hopscopeEngine.examples[name]));
        return Object.entries(JSON.parse(text)).map(([path, packed]) => [path, bytesOf(packed)]);
      },
      // An element that is laid out like the page and never seen, heard or found: what is in a closed shadow tree no selector enters.
      // The style comes as text, since the page asks nobody for anything.
      stage() {
        const [host, stage] = [document.createElement('div'), document.createElement('div')];
        host.className = 'rehearsal';
        host.inert = true;
        host.setAttribute('aria-hidden', 'true');
        const style = new CSSStyleSheet();
        style.replaceSync([...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).map((rule) => rule.cssText).join('\n'));
        const shadow = host.attachShadow({ mode: 'closed' });
        shadow.adoptedStyleSheets = [style];
        shadow.append(stage);
        document.body.append(host);
        return [host, stage];
      },
      build: hopscopeData.build,
    };

    const module = await WebAssembly.compile(await unpack(hopscopeData.module));
    hopscopeData.module = null;
    await hopscopePageGlue()({ module_or_path: module });
    document.getElementById('boot')?.remove();
  } catch (error) {
    console.error(error);
    say('Hopscope could not start: ' + (error && error.message ? error.message : error)
      + '. It needs a browser with WebAssembly and DecompressionStream (Chrome 91, Firefox 113, Safari 16.4 or later).');
  }
})();
