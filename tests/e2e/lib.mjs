// What the tests in every browser share: the example and its truth, the command line, servers, and how to ask the page.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const { HOPSCOPE, HOPSCOPE_SITE, HOPSCOPE_HTML } = process.env;
assert.ok(HOPSCOPE && HOPSCOPE_SITE && HOPSCOPE_HTML, 'run by `cargo xtask test e2e-chromium e2e-firefox`, which says where everything is');

export const singleHtml = pathToFileURL(HOPSCOPE_HTML).href;

/** The founding example's inputs: pod to pod over two nodes, captured at six interfaces. */
export const example = fileURLToPath(new URL('../cases/seed-icmp-1/inputs/', import.meta.url));

/** The seven hops of its request, as [part of the owner's name, interface]. Nobody captured at the router. */
export const SEVEN = [
  ['tomcat', 'eth0'],
  ['192-168-34-143', 'enia6653479892'],
  ['192-168-34-143', 'eth0'],
  ['VPC router', null],
  ['192-168-29-46', 'eth1'],
  ['192-168-29-46', 'eni0b8b3d003d6'],
  ['mysql', 'eth0'],
];

/** Paths of all files below a folder, `/` between folders. */
export function filesBelow(folder, below = '') {
  return readdirSync(join(folder, below)).sort().flatMap((name) => {
    const path = below ? `${below}/${name}` : name;
    return statSync(join(folder, path)).isDirectory() ? filesBelow(folder, path) : [path];
  });
}

/** The files of a folder, and the example's, as {name, base64}: what can be handed into a page. */
export const filesOf = (folder) => filesBelow(folder).map((name) => ({ name, base64: readFileSync(join(folder, name)).toString('base64') }));
export const exampleFiles = () => filesOf(example);

/** What the command line writes for these paths. */
export function native(cwd, paths) {
  const done = spawnSync(HOPSCOPE, ['analyze', '--format', 'json', ...paths], { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.notEqual(done.stdout, '', done.stderr);
  return done.stdout;
}

/** Two reports are the same bytes; where not, the first line that differs. */
export function assertSame(shown, expected) {
  if (shown === expected) return;
  const [ours, theirs] = [shown.split('\n'), expected.split('\n')];
  const line = ours.findIndex((text, i) => text !== theirs[i]);
  assert.fail(`the page and the command line differ in line ${line + 1}:\n  page:         ${ours[line]}\n  command line: ${theirs[line]}`);
}

const MIME = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
};

/** Listens somewhere. A server that a failed test has left behind keeps nobody waiting. */
const listen = (server) => new Promise((done) => {
  server.unref().on('connection', (socket) => socket.unref()).listen(0, '127.0.0.1', () => done(server.address().port));
});

/** The site as GitHub Pages serves it: below a path, with no headers that help. `requests` has every path that was asked for. */
export async function startSite() {
  const requests = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
    requests.push(path);
    if (path === '/plain/') {
      // Same origin, no policy: what the canary would hear if the page had none either.
      response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!DOCTYPE html><title>plain</title>');
      return;
    }
    const inside = path.startsWith('/hopscope/') ? normalize(path.slice('/hopscope/'.length) || 'index.html') : '..';
    const file = join(HOPSCOPE_SITE, inside);
    if (inside.startsWith('..') || !statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': MIME[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file));
  });
  const origin = `http://127.0.0.1:${await listen(server)}`;
  const stop = () => new Promise((done) => {
    server.closeAllConnections();
    server.close(done);
  });
  return { origin, url: `${origin}/hopscope/`, plain: `${origin}/plain/`, requests, stop };
}

/** A server that answers everything to everybody, and counts who came. */
export async function startCanary() {
  const hits = [];
  const headers = { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'text/javascript' };
  const server = createServer((request, response) => {
    hits.push(request.url);
    response.writeHead(200, headers).end('');
  });
  server.on('upgrade', (request, socket) => {
    hits.push(request.url);
    socket.destroy();
  });
  const port = await listen(server);
  return { port, hits, stop: () => { server.closeAllConnections(); server.close(); } };
}

/**
 * Runs in a page or a worker: every way out that its scope has, each to a path that begins with `who`. Gives the names of
 * the ways that it tried, so that a scope in which none is there does not pass for one in which all are shut.
 */
export async function tryToLeak(port, who) {
  const url = (way) => `http://127.0.0.1:${port}/${who}/${way}`;
  const ways = {
    fetch: () => fetch(url('fetch'), { method: 'POST', body: 'secret' }),
    fetchNoCors: () => fetch(url('fetchNoCors'), { mode: 'no-cors', keepalive: true }),
    xhr: () => new Promise((done) => {
      const request = new XMLHttpRequest();
      request.onloadend = done;
      request.open('GET', url('xhr'));
      request.send();
    }),
    webSocket: () => new Promise((done) => {
      const socket = new WebSocket(url('webSocket').replace('http', 'ws'));
      socket.onclose = socket.onerror = done;
    }),
    eventSource: () => new Promise((done) => {
      const source = new EventSource(url('eventSource'));
      source.onerror = () => { source.close(); done(); };
    }),
    importScripts: () => { if (typeof importScripts !== 'function') throw 0; importScripts(url('importScripts')); },
    beacon: () => navigator.sendBeacon(url('beacon'), 'secret'),
    image: () => new Promise((done) => {
      const image = new Image();
      image.onload = image.onerror = done;
      image.src = url('image');
    }),
    link: () => {
      for (const rel of ['prefetch', 'preload', 'stylesheet', 'icon']) {
        const link = document.createElement('link');
        Object.assign(link, { rel, href: url(rel), as: 'fetch' });
        document.head.append(link);
      }
    },
    form: () => {
      const frame = document.createElement('iframe');
      frame.name = 'leak';
      const form = document.createElement('form');
      Object.assign(form, { action: url('form'), method: 'post', target: 'leak' });
      document.body.append(frame, form);
      form.submit();
    },
    frame: () => {
      const frame = document.createElement('iframe');
      frame.src = url('frame');
      document.body.append(frame);
    },
  };
  const tried = [];
  for (const [name, way] of Object.entries(ways)) {
    const soon = new Promise((done) => setTimeout(done, 1000));
    try {
      const going = way();
      tried.push(name);
      await Promise.race([going, soon]);
    } catch (error) {
      // A policy's refusal is an error too; a scope that has no such way says ReferenceError.
      if (error !== 0 && !(error instanceof ReferenceError)) tried.push(name);
    }
  }
  await new Promise((done) => setTimeout(done, 300));
  return tried;
}

/**
 * A script for before the page's own: whatever worker the page then starts, of whichever kind, tries to leak as `worker-N` before it does
 * anything else. The page tells in `leakTries` what each has tried, and in `workersStarted` how many there were. Workers are kept from
 * being ended, so that each gets to the end of its tries.
 */
export function leakFromWorkers(port) {
  return `(() => {
    const leak = ${JSON.stringify(`;(${tryToLeak})`)};
    self.workersStarted = 0;
    self.leakTries = [];
    const said = new BroadcastChannel('leaks');
    said.onmessage = (event) => self.leakTries.push(event.data);
    let texts = 0;
    self.Blob = new Proxy(Blob, {
      construct(Plain, [parts, options]) {
        if (options?.type !== 'text/javascript') return new Plain(parts, options);
        texts += 1;
        const who = "'worker-" + texts + "-' + Math.random().toString(36).slice(2)";
        const told = '.then((tried) => new BroadcastChannel("leaks").postMessage(tried));';
        return new Plain([...parts, leak + '(${port}, ' + who + ')' + told], options);
      },
    });
    self.Worker = new Proxy(Worker, {
      construct(Plain, made) {
        self.workersStarted += 1;
        const worker = new Plain(...made);
        worker.terminate = () => {};
        return worker;
      },
    });
  })();`;
}

/**
 * Asks a page again and again until the answer is true. Puppeteer's own `waitForFunction` makes a function of a text, which Firefox (140 ESR) lets the
 * page's policy forbid.
 */
export async function until(page, what, { timeout = 60_000, polling = 100 } = {}, ...given) {
  const end = performance.now() + timeout;
  while (!(await page.evaluate(what, ...given))) {
    assert.ok(performance.now() < end, `not within ${timeout} ms: ${what}`);
    await new Promise((done) => setTimeout(done, polling));
  }
}

/** A script for before the page's own: whatever worker the page then starts runs this as well, before any message reaches it. */
export function inWorkers(code) {
  return `self.Blob = new Proxy(Blob, {
    construct: (Plain, [parts, options]) => new Plain(options?.type === 'text/javascript' ? [...parts, ${JSON.stringify(`;${code}`)}] : parts, options),
  });`;
}

/** Runs in a page: what must not be done where the browser has Trusted Types, and whether it can be; an empty list, or why not. */
export async function actWithText() {
  // What the debugger evaluates may use eval; what runs later may do only what the page may.
  await new Promise((done) => setTimeout(done, 10));
  if (!self.trustedTypes) return ['this browser has no Trusted Types'];
  const acts = {
    innerHTML: () => { document.createElement('div').innerHTML = '<b>x</b>'; },
    eval: () => (0, eval)('1'),
    functionOfText: () => new Function('return 1')(),
    script: () => { document.createElement('script').text = '1'; },
    worker: () => new Worker('data:text/javascript,1'),
    policy: () => self.trustedTypes.createPolicy('another', { createHTML: (text) => text }),
    policyAgain: () => self.trustedTypes.createPolicy('hopscope', { createHTML: (text) => text }),
  };
  const done = [];
  for (const [name, act] of Object.entries(acts)) {
    try {
      act();
      done.push(name);
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof EvalError)) done.push(`${name}: ${error}`);
    }
  }
  return done;
}

/** Runs in a page: drop files, as {name, base64}, anywhere on it. */
export function dropFiles(files) {
  const data = new DataTransfer();
  for (const { name, base64 } of files) data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name));
  for (const type of ['dragenter', 'dragover', 'drop']) {
    document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}

/** Runs in a page: whether the report has exactly these many inputs, nothing is still being read, and no other report will come. */
export function hasReportOver(count) {
  const state = document.querySelector('[data-testid="state"]');
  return state?.dataset.settled === 'true' && state.dataset.inputs === String(count);
}

/** Runs in a page: the text of the hops on screen, per direction. */
export function hopsShown() {
  const directions = [...document.querySelectorAll('[data-testid="direction"]')];
  return Object.fromEntries(directions.map((direction) => [
    direction.dataset.direction,
    [...direction.querySelectorAll('[data-testid="hop"]')].map((hop) => hop.innerText.replace(/\s+/g, ' ')),
  ]));
}

/** Both ways of the founding example, hop by hop, by name. */
export function assertSevenHops({ request, reply }) {
  for (const [shown, expected] of [[request, SEVEN], [reply, [...SEVEN].reverse()]]) {
    assert.equal(shown?.length, 7, `seven hops, not ${JSON.stringify(shown)}`);
    expected.forEach(([owner, name], i) => {
      assert.ok(shown[i].includes(owner), `hop ${i + 1} is ${owner}: ${shown[i]}`);
      assert.ok(name === null || shown[i].includes(name), `hop ${i + 1} is ${name}: ${shown[i]}`);
    });
    assert.match(shown[3], /inferred/);
  }
}

/** A pcap file of one packet between strangers, and of a second one that breaks off in the middle. */
function cutCapture() {
  const header = Buffer.from('d4c3b2a1020004000000000000000000ffff000001000000', 'hex');
  const udp = Buffer.from('02000000000202000000000108004500001d00010000401100000a6300010a630002' + '303900350009000041', 'hex');
  const record = Buffer.alloc(16);
  [1_700_000_000, 0, udp.length, udp.length].forEach((value, i) => record.writeUInt32LE(value, 4 * i));
  return Buffer.concat([header, record, udp, record, udp.subarray(0, 20)]);
}

/** Inputs that are wrong, each in its own way, and the status that each must get. */
export function wrongInputs() {
  const json = readFileSync(join(example, 'inventory/kubectl.json'));
  const jpeg = Buffer.concat([Buffer.from('ffd8ffe000104a46494600010100000100010000ffdb', 'hex'), Buffer.alloc(5000, 0x37), Buffer.from('ffd9', 'hex')]);
  return [
    { name: 'empty.pcap', bytes: Buffer.alloc(0), status: ['rejected'] },
    { name: 'photo.pcap', bytes: jpeg, status: ['rejected'] },
    { name: 'cut.pcap', bytes: cutCapture(), status: ['partial'] },
    { name: 'cut.json', bytes: json.subarray(0, Math.floor(json.length / 2)), status: ['partial', 'rejected'] },
    { name: 'zeros.bin', bytes: Buffer.alloc(10 << 20), status: ['rejected'] },
  ];
}
