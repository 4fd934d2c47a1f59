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
