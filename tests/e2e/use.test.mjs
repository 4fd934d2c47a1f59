// What a person does with the page once the files are in: looks, searches, follows evidence, corrects. In Chromium.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { browser, open, reportOver, site, startAndStop } from './chromium.mjs';
import { dropFiles, example, exampleFiles, filesBelow, filesOf } from './lib.mjs';

const LONG = { timeout: 120_000 };
const COUNT = filesBelow(example).length;

startAndStop();

/** The founding example, open. */
async function opened(options) {
  const { context, page, faults } = await open(site.url, options);
  await page.locator('[data-testid="example"]').click();
  await reportOver(page, COUNT);
  await page.locator('[data-testid="picture"] .port').first().waitFor();
  return { context, page, faults };
}

for (const viewport of [{ width: 1280, height: 800 }, { width: 1500, height: 950 }, { width: 1920, height: 1080 }, { width: 420, height: 800 }]) {
  test(`at ${viewport.width} pixels all of the picture is in sight, and nothing hangs over the page's edge`, LONG, async () => {
    const { context, page, faults } = await opened({ viewport });
    await page.waitForFunction(() => {
      const view = document.querySelector('.picture-view').getBoundingClientRect();
      const drawing = document.querySelector('[data-testid="picture"] > g').getBoundingClientRect();
      // The first view of a phone shows the path's beginning rather than specks.
      const fits = drawing.right <= view.right + 1 || innerWidth < 700;
      return drawing.width > 100 && drawing.left >= view.left - 1 && fits && drawing.bottom <= view.bottom + 1;
    }, undefined, { timeout: 5000 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page does not scroll sideways');
    assert.deepEqual(faults, []);
    await context.close();
  });
}

test('a hop leads to statements, a statement to its decoded frame, and a MAC to the lines that say whose it is', LONG, async () => {
  const { context, page, faults } = await opened();
  await page.locator('[data-direction="request"] [data-testid="hop"]').nth(2).click();
  await page.locator('[data-testid="evidence-item"]').first().waitFor();
  await page.locator('[data-testid="source"]', { hasText: /frame \d+$/ }).first().click();
  await page.locator('[data-testid="viewer"] [data-testid="layer"]').first().waitFor();
  await page.waitForFunction(() => {
    const viewer = document.querySelector('[data-testid="viewer"]').getBoundingClientRect();
    return viewer.top >= 0 && viewer.top < innerHeight - 80;
  }, undefined, { timeout: 3000 });
  const layers = await page.locator('[data-testid="layer"] summary').allInnerTexts();
  assert.ok(layers.includes('Ethernet II') && layers.some((l) => l.includes('Internet Protocol')), String(layers));
  const source = page.locator('[data-testid="field"]', { hasText: 'Source' }).first();
  await source.click();
  const said = (await source.locator('span').nth(1).innerText()).replaceAll(':', ' ');
  const lit = (await page.locator('[data-testid="hex"] .lit').allInnerTexts()).join(' ');
  assert.equal(lit, said, 'the octets of the field are the ones that are marked');

  // The router's second face: from the finding to the lines of the inventory.
  await page.locator('[data-testid="tab-findings"]').click();
  await page.locator('[data-testid="finding"][data-kind="router_identified"] [data-testid="finding-evidence"]').first().click();
  await page.locator('[data-testid="source"]', { hasText: 'ec2-instances.json' }).first().click();
  await page.locator('[data-testid="marked-line"]').first().waitFor();
  const marked = await page.locator('[data-testid="marked-line"]').allInnerTexts();
  const json = readFileSync(join(example, 'inventory/ec2-instances.json'), 'utf8').split('\n');
  assert.ok(marked.every((line) => json.includes(line)), 'the lines are those of the file');
  assert.deepEqual(faults, []);
  await context.close();
});

test('boxes, ports and wires lead to their evidence, by pointer and by key', LONG, async () => {
  const { context, page, faults } = await opened();
  const title = () => page.locator('[data-testid="evidence"] h2').first().innerText();
  await page.locator('[data-testid="port"]').first().click();
  assert.match(await title(), /eth0/);
  await page.locator('[data-testid="box"][data-id*="router"]').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('[data-testid="evidence"] h2')?.innerText.includes('VPC router'));
  assert.ok(await page.locator('[data-testid="evidence-item"]').count() > 0);
  await page.locator('[data-testid="edge"].request').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('[data-testid="evidence"] h2')?.innerText.startsWith('Hop'));
  // The keys that move the picture, fill the window and close what is open.
  const drawn = () => page.locator('[data-testid="picture"] > g').getAttribute('transform');
  const before = await drawn();
  await page.keyboard.press('+');
  assert.notEqual(await drawn(), before);
  await page.keyboard.press('0');
  await page.keyboard.press('f');
  await page.locator('.picture.is-wide').waitFor();
  // What lies over a wide picture hides none of it.
  await page.waitForTimeout(300);
  await page.locator('[data-testid="port"]').last().click();
  await page.waitForFunction(() => document.querySelector('[data-testid="evidence"] h2')?.innerText.includes('eth0'));
  await page.keyboard.press('Escape');
  await page.locator('.picture:not(.is-wide)').waitFor();
  await page.keyboard.press('?');
  await page.locator('[data-testid="dialog"]').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('[data-testid="dialog"]').waitFor({ state: 'detached' });
  assert.deepEqual(faults, []);
  await context.close();
});

test('conversations are found by words, and walked through by key', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  await page.locator('[data-testid="example-lb"]').click();
  await page.waitForFunction(() => document.querySelector('[data-testid="state"]').dataset.settled === 'true'
    && document.querySelectorAll('[data-testid="conversation"]').length > 1);
  const all = await page.locator('[data-testid="conversation"]').count();
  await page.keyboard.press('/');
  await page.keyboard.type('tcp nobody-has-this');
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="conversation"]').length === 0);
  await page.locator('[data-testid="filter"]').fill('TCP 8080');
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="conversation"]').length > 0);
  assert.ok(await page.locator('[data-testid="conversation"]').count() <= all);
  await page.locator('[data-testid="filter"]').fill('');
  await page.waitForFunction((n) => document.querySelectorAll('[data-testid="conversation"]').length === n, all);
  await page.locator('h1').first().click();
  const selected = () => page.locator('[data-testid="conversation"][aria-selected="true"]').getAttribute('data-position');
  const first = Number(await selected());
  await page.keyboard.press('n');
  await page.waitForFunction((n) => document.querySelector('[aria-selected="true"][data-position]')?.dataset.position === String(n), first + 1);
  await page.keyboard.press('p');
  await page.waitForFunction((n) => document.querySelector('[aria-selected="true"][data-position]')?.dataset.position === String(n), first);
  assert.deepEqual(faults, []);
  await context.close();
});

test('what became of the packets stands above the picture, and what is told of a conversation leads there and back', LONG, async () => {
  const { context, page, faults } = await open(site.url);
  const lost = fileURLToPath(new URL('../cases/drop-midway-1/inputs/', import.meta.url));
  await page.locator('[data-testid="example-loss"]').click();
  await reportOver(page, filesOf(lost).length);
  const outcomes = page.locator('[data-testid="outcomes"]');
  const head = () => page.locator('.path-head h1').innerText();
  const told = () => page.locator('[data-testid="told"] [data-testid="finding"]').evaluateAll((all) => all.map((f) => f.dataset.kind));
  assert.match(await head(), /:41977\) → .*:5432\)$/s, 'the first of what was lost');
  assert.match(await outcomes.innerText(), /lost\s+after hop 5, node ip-192-168-33-181 eth1, the last place that saw them \(4 packets\).* saw none/s);
  assert.equal(await page.locator('[data-testid="picture"] .edge.is-beyond').count(), 2, 'where they were on their way to');
  assert.match(await page.locator('[data-testid="hop"]').nth(5).innerText(), /none, 4 missing/);
  assert.match(await outcomes.innerText(), /no reply was captured/);
  assert.deepEqual((await told()).sort(), ['no_reply', 'packet_loss', 'retransmission']);
  const all = Number(await page.locator('[data-testid="tab-findings"] .number-badge').innerText());
  assert.equal(await page.locator('[data-testid="finding"]').count(), all, 'each is shown once');

  await page.locator('[data-testid="told"] [data-kind="packet_loss"] [data-testid="finding-evidence"]').click();
  await page.locator('[data-testid="evidence-item"][data-kind="silence"]').waitFor();
  assert.match(await page.locator('[data-testid="evidence"]').innerText(), /packet loss\s.*41977/s);
  await outcomes.getByText('why').click();
  await page.waitForFunction(() => document.querySelector('[data-testid="evidence"] h2')?.innerText.startsWith('Hop 5'));

  // The answers of another one are lost.
  await page.locator('[data-testid="tab-findings"]').click();
  await page.locator('[data-testid="finding"]', { hasText: 'replies of' }).locator('.chip', { hasText: '→' }).first().click();
  await page.waitForFunction(() => document.querySelector('.path-head h1')?.innerText.includes(':9090'));
  await page.waitForFunction(() => /delivered.*lost\s+after hop 2/s.test(document.querySelector('[data-testid="outcomes"]')?.innerText));
  assert.ok((await told()).includes('packet_loss'));
  assert.deepEqual(faults, []);
  await context.close();
});

test('text that is pasted is an input like any other', LONG, async () => {
  const { context, page, faults } = await opened();
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.setData('text/plain', '? (192.168.0.1) at 06:b6:b2:63:c0:90 [ether] on eth9\n');
    window.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
  });
  const report = JSON.parse(await reportOver(page, COUNT + 1));
  assert.equal(report.inputs.find((i) => i.name === 'pasted-1.txt')?.kind, 'ip_neigh');
  assert.deepEqual(faults, []);
  await context.close();
});

test('what a person corrects is followed, listed, changed, saved, loaded and taken back', LONG, async () => {
  const { context, page, faults } = await opened();
  const report = async (count) => JSON.parse(await reportOver(page, count));
  const point = (of, name) => of.capture_points.find((p) => of.inputs.find((i) => i.id === p.input).name === name);
  const card = (name) => page.locator('[data-testid="point"]', { hasText: name });
  const NAME = 'captures/node2-eth1.pcap';
  const before = await report(COUNT);
  const other = before.entities.find((e) => e.kind === 'interface' && e.id !== point(before, NAME).at).id;

  await page.locator('[data-testid="tab-points"]').click();
  await card(NAME).locator('[data-testid="correct"]').click();
  await page.locator('[data-testid="correct-place"]').fill(other);
  await page.locator('[data-testid="correct-clock"]').fill('-3.25');
  await page.locator('[data-testid="correct-save"]').click();
  const placed = await report(COUNT + 1);
  assert.equal(point(placed, NAME).at, other);
  assert.equal(point(placed, NAME).clock.offset_ns, -3_250_000_000);
  await card(NAME).locator('text=corrected by hand').waitFor();

  // Whose an address is, from the entity that is wrong.
  await page.locator('[data-testid="tab-corrections"]').click();
  assert.equal(await page.locator('[data-testid="correction"]').count(), 2);
  await page.locator('[data-testid="owner-address"]').fill('192.168.53.154');
  await page.locator('[data-testid="owner-entity"]').fill('tomcat');
  await page.locator('[data-testid="owner-save"]').click();
  await page.locator('[role="alert"]').waitFor();
  await page.locator('[data-testid="owner-entity"]').fill('pod:default/canary');
  await page.locator('[data-testid="owner-save"]').click();
  await page.locator('h1', { hasText: 'canary' }).waitFor();
  assert.equal((await report(COUNT + 1)).paths[0].flow.client.entity, 'pod:default/canary');

  const download = page.waitForEvent('download');
  await page.locator('[data-testid="save-corrections"]').click();
  const saved = readFileSync(await (await download).path(), 'utf8');
  const session = JSON.parse(saved);
  assert.deepEqual(session.clocks, [{ input: NAME, offset_ns: -3_250_000_000 }]);
  assert.deepEqual(session.placements.map((p) => p.at), [other]);

  // Taken back, one after the other: the report is as it was.
  for (let left = 3; left > 0; left -= 1) {
    await page.locator('[data-testid="take-back"]').first().click();
    await page.waitForFunction((n) => document.querySelectorAll('[data-testid="correction"]').length === n, left - 1);
  }
  assert.deepEqual(await report(COUNT), before);

  // The saved file, dropped under another name, brings them back, to be changed again.
  const text = Buffer.from(saved).toString('base64');
  await page.evaluate((base64) => {
    const data = new DataTransfer();
    data.items.add(new File([atob(base64)], 'from-yesterday.json'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  }, text);
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="correction"]').length === 3);
  assert.deepEqual(await report(COUNT + 1).then((r) => point(r, NAME).clock.offset_ns), -3_250_000_000);
  await page.locator('[data-testid="tab-points"]').click();
  await card(NAME).locator('[data-testid="correct"]').click();
  await page.locator('[data-testid="correct-clock"]').fill('');
  await page.locator('[data-testid="correct-save"]').click();
  await page.locator('[data-testid="tab-corrections"]').click();
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="correction"]').length === 2);
  const now = await report(COUNT + 1);
  assert.notEqual(point(now, NAME).clock?.offset_ns, -3_250_000_000);
  assert.equal(point(now, NAME).at, other);
  assert.deepEqual(faults, []);
  await context.close();
});

test('dark as light: text stands out from what is behind it', LONG, async () => {
  for (const colorScheme of ['light', 'dark']) {
    const { context, page } = await opened({ colorScheme });
    const worst = await page.evaluate(() => {
      const rgb = (text) => text.match(/[\d.]+/g).map(Number);
      const luminance = ([r, g, b]) => [r, g, b]
        .map((c) => { const x = c / 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; })
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
      const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
          const back = rgb(getComputedStyle(e).backgroundColor);
          if (back.length === 3 || back[3] === 1) return back;
        }
        return [255, 255, 255];
      };
      const texts = [...document.querySelectorAll('.page *')].filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.getClientRects().length && !e.closest('svg'));
      return texts.map((e) => {
        const [a, b] = [luminance(rgb(getComputedStyle(e).color)), luminance(behind(e))];
        return { ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text: `${e.className}: ${e.innerText}`.slice(0, 60) };
      }).sort((a, b) => a.ratio - b.ratio)[0];
    });
    assert.ok(worst.ratio >= 4.5, `${colorScheme}: ${worst.ratio.toFixed(2)} at ${worst.text}`);
    await context.close();
  }
});

test('an export with pseudonyms tells the same story and no name of it', LONG, async () => {
  const { context, page, faults } = await opened();
  const plain = await reportOver(page, COUNT);
  await page.locator('[data-testid="export"] summary').click();
  await page.locator('[data-testid="export-redacted"]').check();
  const save = async (form) => {
    const download = page.waitForEvent('download');
    await page.locator(`[data-testid="export-${form}"]`).click();
    return readFileSync(await (await download).path(), 'utf8');
  };
  const [json, text] = [await save('json'), await save('text')];
  for (const secret of ['tomcat', 'mysql', '192-168-34-143', '192.168.53.154', '0e:26:9f:32:7d:d6', 'subnet-07eb2aee14bac96b0']) {
    assert.ok(plain.includes(secret), `${secret} is in the report`);
    assert.ok(!json.includes(secret) && !text.includes(secret), `${secret} is in the redacted one`);
  }
  const shape = (report) => JSON.parse(report).paths.map((p) => p.directions.map((d) => [d.verdict, d.hops.map((h) => [h.seen, h.ttl])]));
  assert.deepEqual(shape(json), shape(plain));
  assert.ok(text.includes(JSON.parse(json).paths[0].flow.client.ip), 'two exports have the same pseudonyms');
  assert.deepEqual(faults, []);
  await context.close();
});

test('a saved report is shown again; one that is damaged is rejected', LONG, async () => {
  const first = await opened();
  const saved = await reportOver(first.page, COUNT);
  await first.context.close();
  const { context, page, faults } = await open(site.url);
  const file = (name, text) => ({ name, mimeType: 'application/json', buffer: Buffer.from(text) });
  await page.locator('[data-testid="file-input"]').first().setInputFiles([file('saved.json', saved)]);
  await page.locator('[data-testid="picture"] .port').first().waitFor();
  assert.equal(await reportOver(page, COUNT), saved);
  await page.locator('[data-testid="remove"]').click();
  await page.locator('[data-testid="start"]').waitFor();
  await page.locator('[data-testid="file-input"]').first().setInputFiles([file('damaged.json', saved.replace('"paths"', '"paths": 7, "x"'))]);
  const row = page.locator('[data-testid="input"][data-name="damaged.json"][data-status="rejected"]');
  assert.match(await row.innerText(), /cannot be read/);
  assert.deepEqual(faults, []);
  await context.close();
});

test('all conversations as one map: a box leads to what is known of it and to its conversations, a conversation back to its path', LONG, async () => {
  const { context, page, faults } = await opened();
  await page.keyboard.press('m');
  const map = page.locator('[data-testid="map"]');
  await map.waitFor();
  assert.ok(Number(await map.getAttribute('data-interfaces')) >= 6);
  const colours = () => map.evaluate((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  await page.waitForFunction(() => document.querySelector('[data-testid="map"]').width > 400);
  await page.waitForTimeout(200);
  assert.ok(await colours() > 10, 'boxes, wires and names are drawn');
  const drawn = () => map.evaluate((canvas) => canvas.toDataURL());
  const before = await drawn();
  const at = await map.boundingBox();
  await page.mouse.move(at.x + at.width / 2, at.y + at.height / 2);
  await page.mouse.down();
  await page.mouse.move(at.x + at.width / 2 + 200, at.y + at.height / 2 + 40, { steps: 4 });
  await page.mouse.up();
  await page.waitForTimeout(200);
  assert.notEqual(await drawn(), before, 'it is moved');
  assert.equal(await page.locator('[data-testid="evidence"]').count(), 0, 'what moves it is no click');
  await page.keyboard.press('0');
  await page.waitForTimeout(200);
  assert.equal(await drawn(), before, 'and fitted again');
  await map.click({ position: { x: at.width / 2, y: at.height / 2 } });
  await page.locator('[data-testid="evidence"] h2').first().waitFor();
  await page.locator('[data-testid="list-through"]').click();
  await page.locator('[data-testid="through"]').waitFor();
  await page.locator('[data-testid="through-clear"]').click();
  assert.equal(await page.locator('[data-testid="through"]').count(), 0);
  const pair = page.locator('[data-testid="pair"]');
  assert.equal(await pair.count(), 1, 'below the map stands who talks to whom');
  await pair.getByRole('button').press('Enter');
  const filter = page.locator('[data-testid="filter"]');
  assert.match(await filter.inputValue(), /tomcat.* 192\.168\.25\.72\)? icmp/);
  await filter.fill('');
  await page.locator('[data-testid="conversation"]').first().click();
  await page.locator('[data-testid="picture"] .port').first().waitFor();
  assert.equal(await map.count(), 0);
  assert.equal(await pair.count(), 0);
  assert.deepEqual(faults, []);
  await context.close();
});

// Markup, a right-to-left override, a terminal's escape and an invisible character, in whatever an input can name.
const HOSTILE = 'x\u202e<img src=x onerror=window.pwned=1>\u001b[31m\u200b';
const ACTING = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/;

test('names from inputs are text in every part of the page, and none of their characters acts', LONG, async () => {
  const { context, page, faults } = await open(site.url, { acceptDownloads: true });
  const files = exampleFiles().map(({ name, base64 }) => {
    const text = Buffer.from(base64, 'base64').toString('utf8');
    const isJson = name.endsWith('.json');
    const changed = isJson ? text.replaceAll(/iksoon-deployment-tomcat-[a-z0-9]+-[a-z0-9]+/g, JSON.stringify(HOSTILE).slice(1, -1)) : text;
    return { name: `${HOSTILE.replaceAll('/', '')}-${name.replaceAll('/', '-')}`, base64: isJson ? Buffer.from(changed).toString('base64') : base64 };
  });
  await page.evaluate(dropFiles, [...files, { name: `${HOSTILE}.bin`, base64: Buffer.from('\u0000nothing').toString('base64') }]);
  await reportOver(page, files.length + 1);
  await page.locator('[data-testid="picture"] .port').first().waitFor();
  const seen = () => page.evaluate(() => {
    const texts = [document.body.innerText, document.body.textContent];
    for (const e of document.querySelectorAll('[title], [aria-label], [placeholder]')) {
      texts.push(e.getAttribute('title') ?? '', e.getAttribute('aria-label') ?? '', e.getAttribute('placeholder') ?? '');
    }
    return texts.filter(Boolean);
  });
  const check = async (where) => {
    for (const text of await seen()) {
      const found = ACTING.exec(text);
      assert.ok(!found, `${where}: ${JSON.stringify(text.slice(Math.max(0, (found?.index ?? 0) - 60), (found?.index ?? 0) + 20))}`);
    }
  };
  assert.ok((await seen()).some((text) => text.includes('x\\u{202e}<img src=x')), 'the name is there, as text');
  await check('the path');
  for (const tab of ['findings', 'points', 'corrections', 'evidence']) {
    await page.locator(`[data-testid="tab-${tab}"]`).click();
    await check(tab);
  }
  // A pod's evidence, and the lines that name it.
  await page.locator('[data-testid="box"][data-id^="pod:"]').first().click();
  await page.locator('[data-testid="evidence-item"]').first().waitFor();
  await check('an entity');
  await page.locator('[data-testid="source"]', { hasText: 'kubectl' }).first().click();
  await page.locator('[data-testid="marked-line"]').first().waitFor();
  await check('the lines of a source');
  await page.locator('[data-direction="request"] [data-testid="hop"]').first().click();
  await page.locator('[data-testid="source"]', { hasText: /frame \d+$/ }).first().click();
  await page.locator('[data-testid="viewer"] [data-testid="layer"]').first().waitFor();
  await check('a frame');
  await page.keyboard.press('m');
  await page.locator('[data-testid="map"]').waitFor();
  await check('the map');
  assert.equal(await page.locator('img').count(), 0);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(faults, []);
  await context.close();
});

/** What a button puts on the clipboard. */
async function copied(page, button) {
  await page.evaluate(() => navigator.clipboard.writeText(''));
  await button.click();
  for (;;) {
    const text = await page.evaluate(() => navigator.clipboard.readText());
    if (text !== '') return text;
    await page.waitForTimeout(20);
  }
}

test('what is saved and copied is inert, names of files too, whatever a saved report holds', LONG, async () => {
  const first = await opened();
  const plain = await reportOver(first.page, COUNT);
  await first.context.close();
  const { context, page, faults } = await open(site.url, { acceptDownloads: true, permissions: ['clipboard-read', 'clipboard-write'] });
  // Ids that a report of ours never has, and names that any input may have.
  const hostile = JSON.stringify(HOSTILE).slice(1, -1);
  const saved = plain
    .replaceAll('"id": "p1"', `"id": "../../p1${hostile}"`)
    .replaceAll('"path": "p1"', `"path": "../../p1${hostile}"`)
    .replaceAll('"id":"p1"', `"id":"../../p1${hostile}"`)
    .replaceAll(/iksoon-deployment-tomcat-[a-z0-9]+-[a-z0-9]+/g, hostile);
  assert.ok(saved.includes(`../../p1${hostile}`) && saved.includes(`pod:default/${hostile}`), 'there is something to show');
  await page.locator('[data-testid="file-input"]').first().setInputFiles([{ name: 'saved.json', mimeType: 'application/json', buffer: Buffer.from(saved) }]);
  await reportOver(page, COUNT);
  await page.locator('[data-testid="conversation"]').first().click();
  await page.locator('[data-testid="picture"] .port').first().waitFor();
  await page.locator('[data-testid="export"] summary').click();
  await page.locator('[data-testid="export-only-path"]').check();
  for (const form of ['json', 'text', 'svg', 'html', 'mermaid', 'dot', 'graphml', 'csv']) {
    const download = page.waitForEvent('download');
    await page.locator(`[data-testid="export-${form}"]`).click();
    const file = await download;
    // What the page asked for: browsers change names that would lead elsewhere, and a test must not lean on that.
    assert.match(file.suggestedFilename(), /^hopscope-p1ximgsrcxonerrorwindowpwned1[0-9m]*\.[a-z]{3,7}$/, form);
    const text = readFileSync(await file.path(), 'utf8');
    assert.ok(text.length > 500 && !ACTING.exec(text), `${form}: ${JSON.stringify(text.slice(Math.max(0, (ACTING.exec(text)?.index ?? 0) - 60)).slice(0, 90))}`);
    if (form === 'svg' || form === 'html') assert.ok(!text.includes('<img'), form);
    const onClipboard = await copied(page, page.locator(`[data-testid="export-${form}-copy"]`));
    assert.equal(onClipboard.replaceAll('\r\n', '\n'), text.replaceAll('\r\n', '\n'), `${form} is copied as it is saved`);
  }
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(faults, []);
  await context.close();
});

test('the commands that collect what is missing: each with its reason, to be copied, and what was typed stays one word of them', LONG, async () => {
  const { context, page, faults } = await open(site.url, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.locator('[data-testid="commands"]').first().click();
  const command = page.locator('[data-testid="command"]');
  await command.first().waitFor();
  const before = await command.count();
  await page.locator('.fields input').nth(0).fill('shop/cart-0');
  await page.locator('.fields input').nth(1).fill('$(reboot);node');
  await page.waitForFunction((n) => document.querySelectorAll('[data-testid="command"]').length > n, before);
  const shown = await command.locator('pre').allInnerTexts();
  assert.ok(shown.length > 30 && shown.some((c) => c.includes('nsenter')) && shown.some((c) => c.startsWith('aws ec2 describe-')), String(shown.length));
  for (const text of shown) {
    assert.ok(!/\b(apply|delete|patch|exec|create|modify|edit|rm)\b/.test(text), text);
    for (const { index } of text.matchAll(/\$\(reboot\)/g)) assert.equal(text.slice(0, index).split("'").length % 2, 0, `not quoted: ${text}`);
  }
  for (const n of [0, 7, shown.length - 1]) {
    assert.equal(await copied(page, command.nth(n).getByRole('button')), shown[n]);
  }
  const script = await copied(page, page.locator('[data-testid="copy-all"]'));
  assert.ok(script.startsWith('# Collects'), script.slice(0, 80));
  for (const text of shown) assert.ok(script.includes(`\n${text}\n`), text);
  assert.deepEqual(faults, []);
  await context.close();
});

test('a worker that stops at a defect costs one input or a moment, and never the page', LONG, async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  // A worker that is given this file dies of it, as one does whose module has stopped: with an error event and no answer.
  await page.addInitScript(() => {
    const holds = (value, depth = 0) => value instanceof File ? value.name === 'deadly.pcap'
      : depth < 3 && Array.isArray(value) && value.some((one) => holds(one, depth + 1));
    const dies = (worker) => setTimeout(() => worker.dispatchEvent(new ErrorEvent('error', { message: 'unreachable', cancelable: true })));
    self.everyWorker = [];
    self.Worker = new Proxy(Worker, {
      construct(Plain, made) {
        const worker = new Plain(...made);
        const post = worker.postMessage.bind(worker);
        worker.postMessage = (message, ...rest) => holds(message) || rest.some((one) => holds(one)) ? dies(worker) : post(message, ...rest);
        self.everyWorker.push(worker);
        return worker;
      },
    });
    self.allDie = () => self.everyWorker.forEach(dies);
  });
  await page.goto(site.url);
  await page.locator('[data-testid="example"]').waitFor({ timeout: 30_000 });
  const files = exampleFiles().map(({ name, base64 }) => ({ name: name.replace('/', '-'), base64 }));
  const deadly = { name: 'deadly.pcap', base64: files.find((f) => f.name.endsWith('.pcap')).base64 };
  await page.evaluate(dropFiles, [deadly, ...files]);
  // The one that died is an input of which nothing is known; all others are read.
  await page.locator('[data-testid="input"][data-name="deadly.pcap"][data-status="rejected"]').waitFor();
  assert.match(await page.locator('[data-testid="input"][data-name="deadly.pcap"]').innerText(), /stopped at a defect.*unreachable/s);
  await page.waitForFunction((n) => document.querySelectorAll('[data-testid="input"][data-status="ok"]').length === n, files.length);
  await page.locator('[data-testid="conversation"]').first().click();
  await page.locator('[data-testid="hop"]').first().waitFor();
  // All workers die, the one that analyses too: it is started again, and everything is read again for it.
  const started = await page.evaluate(() => { self.allDie(); return self.everyWorker.length; });
  await page.waitForFunction((n) => self.everyWorker.length > n, started);
  await page.waitForFunction((n) => document.querySelectorAll('[data-testid="input"][data-status="ok"]').length === n, files.length);
  await page.locator('[data-testid="conversation"]', { hasText: 'ICMP' }).first().click();
  await page.locator('[data-testid="hop"]').first().waitFor();
  await context.close();
});
