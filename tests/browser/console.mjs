// Drives the console in a real Chromium: dispatch -> live completion -> the three groups -> download -> cancel, with
// screenshots and an axe check of every page, light and dark, wide and as on a phone.
//
//   node console.mjs VP CHROMIUM TOOLS OUT    programs, the folder with node_modules, the folder for screenshots
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve as absolute } from 'node:path';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';

const [vp, chromiumPath, tools, out] = process.argv.slice(2).map((path) => absolute(path));
const require = createRequire(join(tools, 'node_modules', 'x.js'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const dir = mkdtempSync(join(tmpdir(), 'vp-browser-'));
const PATIENCE = 60_000;
mkdirSync(out, { recursive: true });

const port = await new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});
const url = `http://127.0.0.1:${port}`;
writeFileSync(join(dir, 'lane.sh'), `set -eu
case $(cat) in *forever*) echo '{"vp":"progress","text":"at it"}'; echo 'a line of its log'; exec sleep 600;; esac
printf '# The report\\n\\nAll is well <script>document.title = "owned"</script>\\n' > report.md
base64 -d > chart.png <<'IMAGE'
iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FAAhKDveksOjmAAAAAElFTkSuQmCC
IMAGE
echo step > run.log
`);
writeFileSync(join(dir, 'vp.toml'), `data_dir = "${dir}/data"
[http]
console = "127.0.0.1:${port}"
dispatcher = ""
[server]
sync = "deferred"
[lanes."vp.coder.primary".executor]
kind = "command"
argv = ["sh", "${dir}/lane.sh"]
`);
const args = (...rest) => [...rest, '--config', join(dir, 'vp.toml')];
// What this shell has set for other tests must not change this system.
const isOurs = ([name]) => !name.startsWith('VP_') || name === 'VP_NATS_SERVER';
const env = Object.fromEntries(Object.entries(process.env).filter(isOurs));
const log = [];
const system = spawn(vp, args('up'), { env, stdio: ['ignore', 'pipe', 'pipe'] });
for (const stream of [system.stdout, system.stderr]) stream.on('data', (text) => log.push(String(text)));
const run = async (...rest) => (await promisify(execFile)(vp, args(...rest), { env })).stdout;
const dispatch = async (objective) => {
  const text = await run('dispatch', '--session', 'simone', '--lane', 'vp.coder.primary', '-o', 'json', objective);
  return JSON.parse(text).mission_id;
};
const ended = new Promise((resolve) => system.on('exit', resolve));
const unsound = [];
let browser;

async function until(what, isTrue) {
  const end = Date.now() + PATIENCE;
  while (!(await isTrue())) {
    assert.ok(Date.now() < end, `it never came true: ${what}\n${log.join('')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function check(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const told = violations.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join('\n  ')}`);
  unsound.push(...told.map((text) => `${name}: ${text}`));
  const { wide, seen } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, seen: innerWidth }));
  if (wide > seen) unsound.push(`${name} is ${wide} wide on a screen of ${seen}`);
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
}

async function main() {
  await until('the console answers', () => fetch(`${url}/sessions`).then((r) => r.ok, () => false));
  browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', '--disable-gpu'] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));

  // Live: a page that is open sees what is delegated from elsewhere, and its end, without a reload.
  await page.goto(`${url}/feed?session=simone`);
  await page.evaluate(() => { window.loadedOnce = true; });
  const first = await dispatch('Write the report <b>now</b>');
  const done = page.locator('.message.theirs.completed').first();
  await done.waitFor();
  assert.equal(await page.evaluate(() => window.loadedOnce), true, 'the page was loaded again');
  assert.equal(await page.locator('#feed > li').count(), 3, 'each message once');
  const heads = await done.locator('.outputs h3').allTextContents();
  assert.deepEqual(heads, ['Primary work product', 'Supporting artifacts', 'Receipt and sync marker']);
  assert.match(await done.locator('.group.primary').innerText(), /report\.md[\s\S]*All is well <script>/);
  assert.match(await done.locator('.group.supporting').innerText(), /run\.log/);
  assert.match(await done.locator('.group.receipts').innerText(), /mission_receipt\.json[\s\S]*sync_ready\.json/);
  await until('the image is shown', () => done.locator('img').evaluate((img) => img.complete && img.naturalWidth === 10));
  assert.doesNotMatch(await page.title(), /owned/);
  await check(page, 'feed-light');

  // Download.
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    done.getByRole('link', { name: /^Download report\.md/ }).click(),
  ]);
  assert.equal(download.suggestedFilename(), 'report.md');
  assert.match(readFileSync(await download.path(), 'utf8'), /^# The report/);

  // Cancel: from the mission's page, by keyboard, with a question in between; the end comes live.
  const second = await dispatch('Go on forever');
  await page.goto(`${url}/missions/${second}`);
  await page.locator('.chip.running').first().waitFor();
  await page.locator('#tail', { hasText: 'at it' }).waitFor();
  // Its log, asked of its worker, by keyboard.
  await page.locator('#log summary').focus();
  await page.keyboard.press('Enter');
  await page.locator('#log', { hasText: 'a line of its log' }).waitFor();
  await check(page, 'mission-running-light');
  await page.locator('#act-cancel').focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Cancel this mission?' }).waitFor();
  await check(page, 'cancel-light');
  await page.getByLabel('Reason').fill('no longer needed');
  await page.keyboard.press('Enter');
  await page.waitForURL(/said=cancel/);
  await page.locator('#mission .chip.cancelled').first().waitFor();
  assert.match(await page.locator('#mission').innerText(), /no longer needed/);

  // Again: a new mission of the same session.
  await page.goto(`${url}/missions/${first}/again`);
  await page.getByRole('button', { name: 'Dispatch again' }).click();
  await page.waitForURL(/said=dispatched/);
  assert.ok(!page.url().includes(first), 'another mission');
  await page.locator('#mission .chip.completed').first().waitFor();

  // A lane is paused by keyboard, with a question in between; what is delegated waits, says why, and runs when the lane
  // is resumed. The open page of lanes follows what is done at the command line.
  await page.goto(`${url}/lanes`);
  await page.getByRole('link', { name: 'Pause CODIE' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Pause CODIE?' }).waitFor();
  await check(page, 'pause-light');
  await page.getByLabel('Reason').fill('its tool is broken');
  await page.keyboard.press('Enter');
  await page.waitForURL(/said=paused/);
  await page.locator('.lane-mode', { hasText: 'its tool is broken' }).waitFor();
  const waits = await dispatch('Write it later');
  await page.locator('.workers .chip', { hasText: 'paused' }).first().waitFor();
  await check(page, 'lanes-paused-light');
  await page.goto(`${url}/missions/${waits}`);
  await page.locator('#mission', { hasText: 'is paused by console' }).waitFor();
  await page.goto(`${url}/lanes`);
  await page.getByRole('link', { name: 'Resume CODIE' }).click();
  await check(page, 'resume-light');
  await page.getByRole('button', { name: 'Resume the lane' }).click();
  await page.waitForURL(/said=open/);
  await run('lanes', '--drain', 'vp.coder.primary', '--reason', 'from the command line');
  await page.locator('.lane-mode', { hasText: 'from the command line' }).waitFor();
  await run('lanes', '--resume', 'vp.coder.primary');
  await page.getByRole('link', { name: 'Pause CODIE' }).waitFor();
  await page.goto(`${url}/missions/${waits}`);
  await page.locator('#mission .chip.completed').first().waitFor();

  // Every page, in every light and width, is sound, and all of it works without a script.
  const pages = {
    sessions: '/sessions', feed: '/feed?session=simone', missions: '/missions', mission: `/missions/${first}`,
    text: `/missions/${first}/text?path=report.md`, lanes: '/lanes', ledger: '/ledger', missing: '/missions/none',
  };
  const looks = { light: {}, dark: { colorScheme: 'dark' }, phone: { viewport: { width: 390, height: 844 } },
    noscript: { javaScriptEnabled: false } };
  for (const [look, options] of Object.entries(looks)) {
    const other = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const view = await other.newPage();
    for (const [name, path] of Object.entries(pages)) {
      await view.goto(url + path);
      await view.locator('h1').first().waitFor();
      if (look === 'noscript') continue;
      await check(view, `${name}-${look}`);
    }
    await other.close();
  }
  assert.equal(unsound.length, 0, unsound.join('\n'));
  assert.deepEqual(faults, [], 'nothing was refused by the policy or failed');
}

try {
  await main();
  console.log(`the console works in ${browser.version()}; screenshots are in ${out}`);
} finally {
  await browser?.close();
  system.kill('SIGTERM');
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 20_000))]);
  system.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
}
