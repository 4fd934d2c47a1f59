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

  // A reader's second thread, which reads ahead: browsers copy what their own process has read of a file in the thread that asked for it,
  // and that takes a reader as long as looking at the packets. It is told a reading's number, the file, from where on and in what slices;
  // gives two, and one more for each further message.
  const readAhead = () => {
    let [reading, file, next, size, slices, last] = [0, null, 0, 0, [], Promise.resolve()];
    const give = async (now) => {
      while (slices.length < 2 && next < file.size) {
        const slice = file.slice(next, next + size).arrayBuffer();
        slice.catch(() => {}); // Said when its turn comes.
        slices.push(slice);
        next += size;
      }
      try {
        const buffer = now === reading && await slices.shift();
        if (buffer) self.postMessage([now, buffer], [buffer]);
      } catch (error) {
        self.postMessage([now, null, error.message]);
      }
    };
    self.onmessage = ({ data }) => {
      if (data) [reading, file, next, size, slices] = [...data, []];
      const now = reading;
      for (let n = data ? 2 : 1; n > 0; n -= 1) last = last.then(() => give(now));
    };
    self.postMessage('ready');
  };

  // What every worker does first. One that reads starts its second thread; until that is ready, where there is none, or if it does not
  // answer, the reader reads by itself.
  const begin = (wasm_bindgen) => {
    const PATIENCE_MS = 5000;
    self.onmessage = ({ data: { module, ahead } }) => {
      self.onmessage = null;
      let [thread, reading, answers, heard] = [null, 0, [], () => {}];
      const leave = (why) => {
        console.info('no thread reads ahead:', why);
        thread?.terminate();
        thread = null;
        heard();
      };
      self.hopscopeHost = {
        ahead([file, from, size]) {
          if (!thread) return null;
          const now = (reading += 1);
          let next = from;
          answers = [];
          thread.postMessage([now, file, from, size]);
          return async () => {
            const at = next;
            next += size;
            if (at >= file.size) return null;
            if (thread && !answers.length) {
              const timer = setTimeout(() => leave('it does not answer'), PATIENCE_MS);
              await new Promise((resolve) => { heard = resolve; });
              clearTimeout(timer);
            }
            const [, buffer, why] = answers.shift() ?? [];
            if (why) throw new Error(why);
            thread?.postMessage(null);
            return buffer ?? file.slice(at, next).arrayBuffer();
          };
        },
      };
      if (ahead) {
        try {
          // An address of this thread's own: from file:// the page's is another origin's.
          const own = URL.createObjectURL(ahead);
          const createScriptURL = (url) => {
            if (url !== own) throw new TypeError('not an address of this program');
            return url;
          };
          const policy = self.trustedTypes ? self.trustedTypes.createPolicy('hopscope', { createScriptURL }) : { createScriptURL };
          const worker = new Worker(policy.createScriptURL(own));
          worker.onerror = (event) => {
            event.preventDefault();
            leave(event.message);
          };
          worker.onmessage = () => {
            thread = worker;
            worker.onmessage = ({ data }) => {
              if (data[0] !== reading) return;
              answers.push(data);
              heard();
            };
          };
        } catch (error) {
          leave(error.message);
        }
      }
      wasm_bindgen.initSync({ module });
    };
  };

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

    // Firefox (153) now and then never returns from starting a worker in a worker, and sends what goes between two of the page's own by way
    // of another process; so a second thread is for browsers of which it is known that it helps.
    const canReadAhead = navigator.userAgentData?.brands.some(({ brand }) => brand === 'Chromium') ?? false;

    // What a worker is started from, once the engine is there.
    let start = null;
    const bring = async () => {
      if (!self.hopscopeEngine) await (hopscopeData.engine ? fetched(hopscopeData.engine) : parsed());
      const { build, glue, module } = self.hopscopeEngine;
      if (build !== hopscopeData.build) throw new Error('it is of another build than this page; reload the page');
      const compiled = await WebAssembly.compile(await unpack(module));
      const script = (text) => new Blob([text], { type: 'text/javascript' });
      const url = URL.createObjectURL(script('(' + begin.toString() + ')((' + glue.toString() + ')());\n'));
      ours.add(url);
      start = { module: compiled, url, ahead: script('(' + readAhead.toString() + ')();\n') };
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
      startWorker(reads) {
        if (!start) throw new Error('the engine is not there yet');
        const worker = new Worker(policy.createScriptURL(start.url));
        worker.postMessage({ module: start.module, ahead: reads && canReadAhead ? start.ahead : null });
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
