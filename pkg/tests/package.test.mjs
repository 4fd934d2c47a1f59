// The packed tarball, installed into a folder of its own as anybody would, against the command line.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const example = fileURLToPath(new URL('../../tests/cases/seed-icmp-1/inputs/', import.meta.url));
const { HOPSCOPE, HOPSCOPE_TARBALL } = process.env;

let folder;
let hopscope;

before(async () => {
  assert.ok(HOPSCOPE && HOPSCOPE_TARBALL, 'run by `cargo xtask test npm-test`, which sets HOPSCOPE and HOPSCOPE_TARBALL');
  folder = mkdtempSync(join(tmpdir(), 'hopscope-npm-'));
  writeFileSync(join(folder, 'package.json'), '{"name": "user", "private": true, "type": "module"}');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--offline', '--ignore-scripts', HOPSCOPE_TARBALL], { cwd: folder, stdio: 'pipe' });
  writeFileSync(join(folder, 'index.js'), "export * from 'hopscope';\n");
  hopscope = await import(pathToFileURL(join(folder, 'index.js')));
});

after(() => rmSync(folder, { recursive: true, force: true }));

/** Paths below the example's folder, `/` between folders. */
function files(below = '') {
  return readdirSync(join(example, below)).sort().flatMap((name) => {
    const path = below ? `${below}/${name}` : name;
    return statSync(join(example, path)).isDirectory() ? files(path) : [path];
  });
}

const inputs = () => files().map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(example, name))) }));

/** What the command line writes for the same names. */
function native(names, cwd = example) {
  const done = spawnSync(HOPSCOPE, ['analyze', '--format', 'json', ...names], { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.notEqual(done.stdout, '', done.stderr);
  return done.stdout;
}

test('the report is the command line\'s, byte for byte', () => {
  assert.equal(hopscope.analyzeToJson(inputs()), native(files()));
});

test('the report finds the seven hops of the founding example', () => {
  const report = hopscope.analyze(inputs());
  assert.equal(report.schema, 'hopscope.report/1');
  assert.deepEqual(report, JSON.parse(native(files())));
  const request = report.paths[0].directions.find((d) => d.direction === 'request');
  assert.equal(request.hops.length, 7);
});

test('the order of inputs does not matter', () => {
  assert.equal(hopscope.analyzeToJson(inputs().reverse()), hopscope.analyzeToJson(inputs()));
});

test('pieces of any size give the same report', () => {
  const analysis = new hopscope.Analysis();
  for (const { name, bytes } of inputs()) {
    const handle = analysis.add(name);
    for (let at = 0; at < bytes.length; at += 977) analysis.push(handle, bytes.subarray(at, at + 977));
    analysis.finish(handle);
  }
  assert.equal(analysis.reportToJson(), hopscope.analyzeToJson(inputs()));
  assert.deepEqual(analysis.report(), hopscope.analyze(inputs()));
  analysis.free();
});

/** A capture of UDP packets between two hosts, each with an IP id and a content of its own. */
function capture(packets) {
  const PAYLOAD = 24;
  const FRAME = 14 + 20 + 8 + PAYLOAD;
  const bytes = Buffer.alloc(24 + packets * (16 + FRAME));
  [0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1].forEach((word, i) => bytes.writeUInt32LE(word, 4 * i));
  for (let i = 0; i < packets; i += 1) {
    let at = 24 + i * (16 + FRAME);
    [1_700_000_000, i, FRAME, FRAME].forEach((word, j) => bytes.writeUInt32LE(word, at + 4 * j));
    at += 16;
    bytes.set(Buffer.from('020000000002020000000001' + '0800' + '4500', 'hex'), at);
    bytes.writeUInt16BE(FRAME - 14, at + 16);
    bytes.writeUInt16BE(i & 0xffff, at + 18);
    bytes.set(Buffer.from('000040110000' + '0a000001' + '0a000002' + '13881389', 'hex'), at + 20);
    bytes.writeUInt16BE(8 + PAYLOAD, at + 38);
    bytes.writeUInt32BE(Math.imul(i, 2654435761) >>> 0, at + 42);
  }
  return bytes;
}

test('within bounded memory a sample is examined, the command line\'s', () => {
  const below = join(folder, 'large');
  mkdirSync(below);
  const names = ['a.pcap', 'b.pcap'];
  names.forEach((name, i) => writeFileSync(join(below, name), capture(20_000 + i * 5_000)));
  const memory = 10_000 * 39;
  const reports = [names, [...names].reverse()].map((order) => {
    const analysis = new hopscope.Analysis({ memory });
    for (const name of order) {
      const handle = analysis.add(name);
      const bytes = readFileSync(join(below, name));
      for (let at = 0; at < bytes.length; at += 100_000) analysis.push(handle, bytes.subarray(at, at + 100_000));
      analysis.finish(handle);
    }
    const text = analysis.reportToJson();
    analysis.free();
    return text;
  });
  assert.ok(JSON.parse(reports[0]).sampling.one_in > 1, reports[0].slice(0, 400));
  assert.equal(reports[0], reports[1]);
  const done = spawnSync(HOPSCOPE, ['analyze', '--format', 'json', '--memory', String(memory), ...names], { cwd: below, encoding: 'utf8', maxBuffer: 1 << 28 });
  assert.equal(reports[0], done.stdout);
  assert.throws(() => new hopscope.Analysis({ memory: 'much' }), /options/);
  assert.throws(() => new hopscope.Analysis({ memroy: 1 }), /memroy/);
  assert.throws(() => new hopscope.Analysis({ memory: -1 }), /memory/);
});

test('what is no input is an error, what cannot be read is not', () => {
  assert.throws(() => hopscope.analyze([{ name: 'a.pcap' }]), /inputs\[0\]: .*bytes/);
  assert.throws(() => hopscope.analyze([{ name: 'a.pcap', bytes: 'text' }]), /inputs\[0\]: .*Uint8Array/);
  assert.throws(() => hopscope.analyze([{ bytes: new Uint8Array() }]), /inputs\[0\]: .*name/);
  const analysis = new hopscope.Analysis();
  assert.throws(() => analysis.push(7, new Uint8Array(1)), /no input with the handle 7/);
  const handle = analysis.add('a');
  analysis.finish(handle);
  assert.throws(() => analysis.finish(handle), /no input with the handle 0/);

  const noise = { name: 'noise.pcap', bytes: new Uint8Array(1000).fill(0x5a) };
  const report = hopscope.analyze([...inputs(), noise]);
  assert.equal(report.inputs.find((i) => i.name === 'noise.pcap').status, 'rejected');
  assert.equal(report.paths.length, hopscope.analyze(inputs()).paths.length);
});

test('a capture cut anywhere gives what the command line gives', () => {
  const cut = join(folder, 'cut');
  mkdirSync(cut);
  const whole = readFileSync(join(example, 'captures/node1-eth0.pcap'));
  for (const length of [0, 3, 24, 30, 1000, whole.length - 1]) {
    writeFileSync(join(cut, 'cut.pcap'), whole.subarray(0, length));
    writeFileSync(join(cut, 'whole.pcap'), whole);
    const read = ['cut.pcap', 'whole.pcap'].map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(cut, name))) }));
    assert.equal(hopscope.analyzeToJson(read), native(['cut.pcap', 'whole.pcap'], cut), `${length} bytes`);
  }
});

test('init is there in Node.js too, and harmless', async () => {
  await hopscope.init();
  assert.equal(typeof hopscope.initSync, 'function');
});

test('the package has what it needs and nothing else', () => {
  const packed = readdirSync(join(folder, 'node_modules/hopscope')).sort();
  assert.deepEqual(packed, [
    'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'engine.js', 'engine_bg.wasm', 'hopscope.d.ts', 'index.js', 'node.js', 'package.json',
  ]);
});
