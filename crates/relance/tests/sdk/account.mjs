// Somebody signs in with a real browser, by keyboard, with and without JavaScript: MODULES HOST EMAIL PASSWORD CHROMIUM.
// Prints what the pages said, as JSON.
import { createHmac } from 'node:crypto';
import { launch, stage } from './chromium.mjs';

const [modules, host, email, password, executablePath] = process.argv.slice(2);
const browser = await launch(modules, executablePath);
const seen = { problems: [] };

const open = async (javaScriptEnabled, locale) => {
  const tab = await (await browser.newContext({ javaScriptEnabled, locale })).newPage();
  tab.on('console', (message) => message.type() === 'error' && seen.problems.push(message.text()));
  tab.on('pageerror', (error) => seen.problems.push(String(error)));
  await tab.goto(`${host}/`);
  return tab;
};
// Types into the field that has the focus when the page is there, and goes on to the next.
const type = async (tab, ...texts) => {
  await tab.waitForSelector('#email:focus');
  for (const text of texts) {
    await tab.keyboard.type(text);
    await tab.keyboard.press('Tab');
  }
  await tab.keyboard.press('Enter');
};
const code = (secret, step) => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...secret].map((letter) => letters.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + step));
  const hash = createHmac('sha1', key).update(counter).digest();
  return String((hash.readUInt32BE(hash[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
};

// Without JavaScript, in French.
stage('signs in without JavaScript');
{
  const tab = await open(false, 'fr-FR');
  await type(tab, email, 'not the password');
  await tab.waitForSelector('#wrong');
  seen.wrong = await tab.textContent('#wrong');
  seen.kept = await tab.inputValue('#email');
  await tab.fill('#password', password);
  await tab.focus('#password');
  await tab.keyboard.press('Enter');
  await tab.waitForURL(`${host}/account`);
  seen.home = await tab.textContent('main');
  await tab.click('button');
  await tab.waitForURL(`${host}/account/sign-in`);
  await tab.goto(`${host}/account`);
  seen.out = tab.url().slice(host.length);
}
// With it, and with a one-time code: the password stays in its field.
stage('signs in with JavaScript');
{
  const tab = await open(true, 'en-GB');
  await type(tab, email, password);
  await tab.waitForURL(`${host}/account`);
  const secret = await tab.evaluate(async (given) => {
    const { csrf_token } = await (await fetch('/api/v1/session')).json();
    window.post = async (path, body) => {
      const headers = { 'content-type': 'application/json', 'x-csrf-token': csrf_token };
      return (await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).json();
    };
    return (await window.post('/api/v1/totp', { password: given })).secret;
  }, password);
  const codes = await tab.evaluate((first) => window.post('/api/v1/totp/confirm', { code: first }), code(secret, 0));
  await tab.click('button');
  await tab.waitForURL(`${host}/account/sign-in`);
  await type(tab, email, password);
  await tab.waitForSelector('#code');
  seen.asked = await tab.textContent('#wrong');
  seen.stays = (await tab.inputValue('#password')) === password;
  seen.focus = await tab.evaluate(() => document.activeElement.id);
  await tab.keyboard.type('wrong');
  await tab.keyboard.press('Enter');
  await tab.waitForFunction(() => document.getElementById('wrong').textContent.includes('wrong'));
  await tab.keyboard.type(codes.recovery_codes[0]);
  await tab.keyboard.press('Enter');
  await tab.waitForURL(`${host}/account`);
}
stage('the browser closes');
await browser.close();
// What a page that refuses says of itself is no error of ours.
seen.problems = seen.problems.filter((text) => !text.includes('status of 401'));
console.log(JSON.stringify(seen));
