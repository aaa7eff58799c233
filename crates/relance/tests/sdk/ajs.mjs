// A shop's page with Segment's library for browsers as it is: MODULES HOST KEY CHROMIUM. Prints what the page asked for.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { launch, stage } from './chromium.mjs';

const [modules, host, key, executablePath] = process.argv.slice(2);
const library = readFileSync(`${modules}/node_modules/@segment/analytics-next/dist/umd/index.js`);
const shop = createServer((request, response) => {
  const script = request.url === '/library.js';
  response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
  response.end(script ? library : '<!doctype html><title>Mugs</title><script src="/library.js"></script>');
});
await new Promise((ready) => shop.listen(0, '127.0.0.1', ready));
const origin = `http://127.0.0.1:${shop.address().port}`;
const browser = await launch(modules, executablePath);
const tab = await browser.newPage();
const asked = [];
tab.on('response', (response) => {
  const url = response.url();
  if (!url.startsWith(origin)) asked.push(`${response.status()} ${url.replace(host, '').replace(key, 'KEY')}`);
});
tab.on('requestfailed', (request) => asked.push(`failed ${request.url()}`));
stage('the page opens');
await tab.goto(origin);
const answered = (call) => tab.waitForResponse(`${host}/v1/${call}`);
const all = Promise.all(['i', 't', 'p'].map(answered));
stage('the library sends');
await tab.evaluate(async ([writeKey, cdnURL]) => {
  const analytics = window.AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL });
  await analytics.identify('ajs-1', { email: 'ada@shop.example' });
  await analytics.track('Product Viewed', { product_id: 'ajs-mug', currency: 'EUR', price: 4 });
  await analytics.page('Mugs');
}, [key, host]);
await all;
stage('the browser closes');
await browser.close();
shop.close();
console.log(JSON.stringify(asked.sort()));
