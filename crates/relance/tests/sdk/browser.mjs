// A shop's pages with the snippet in a real browser: MODULES HOST KEY CHROMIUM. Prints what the pages saw, as JSON.
import { createServer } from 'node:http';
import { launch, stage } from './chromium.mjs';

const [modules, host, key, executablePath] = process.argv.slice(2);

const page = (attributes) => `<!doctype html><title>Mugs</title>
<script>window.relance = window.relance || []; relance.push(["product", {product_id: "web-early", currency: "EUR", price: 2}]);</script>
<script async src="${host}/sdk/relance.js" data-key="${key}" ${attributes}></script>`;
const shop = createServer((request, response) => {
  const [path, attributes = ''] = request.url.split('?');
  if (path === '/relance-sw.js') {
    response.setHeader('content-type', 'text/javascript');
    return response.end(`importScripts("${host}/sdk/relance-sw.js");`);
  }
  response.setHeader('content-type', 'text/html');
  response.end(page(decodeURIComponent(attributes)));
});
await new Promise((ready) => shop.listen(0, '127.0.0.1', ready));
const origin = `http://127.0.0.1:${shop.address().port}`;

const browser = await launch(modules, executablePath);
const seen = { requests: [] };
const open = async (attributes, before) => {
  const context = await browser.newContext({ locale: 'fr-FR', timezoneId: 'Europe/Paris' });
  if (before) await context.addInitScript(before);
  const tab = await context.newPage();
  tab.on('request', (request) => {
    if (request.url().startsWith(`${host}/v1`)) seen.requests.push(`${request.method()} ${attributes}`);
  });
  await tab.goto(`${origin}/?${encodeURIComponent(attributes)}`);
  await tab.waitForFunction(() => window.relance && !Array.isArray(window.relance));
  return { context, tab };
};
const sent = (tab) => tab.waitForResponse((response) => response.url().startsWith(`${host}/v1`));

// A visitor looks, fills a cart, signs in, asks for mail and for messages of the browser, and goes.
{
  stage('the first page opens');
  const { context, tab } = await open('');
  stage('the first events');
  const first = sent(tab);
  await tab.evaluate(() => {
    relance.add({ cart_id: 'web-cart', product_id: 'web-mug', quantity: 2, price: 4.5, currency: 'EUR' });
    relance.identify('web-1', { email: 'wim@shop.example' });
    relance.subscribe('wim@shop.example', 'newsletter', { source: 'footer' });
  });
  seen.status = (await first).status();
  seen.id = await tab.evaluate(() => relance.id());
  await context.grantPermissions(['notifications'], { origin });
  stage('the browser agrees to messages');
  const pushed = sent(tab);
  seen.push = await tab.evaluate(async () => {
    // There is no push service here: what it would give.
    PushManager.prototype.subscribe = async () => ({
      toJSON: () => ({ endpoint: 'https://push.example/web', keys: { p256dh: 'cA', auth: 'YQ' } }),
    });
    await relance.push('cA');
    relance.flush();
    return (await navigator.serviceWorker.ready).active.state.length > 0;
  });
  stage('the subscription is sent');
  await pushed;
  stage('the worker says its registration');
  const worker = await context.newCDPSession(tab);
  const registered = new Promise((found) => worker.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
    if (registrations.length) found(registrations[0].registrationId);
  }));
  await worker.send('ServiceWorker.enable');
  const data = JSON.stringify({ title: 'Your cart', body: 'waits', url: `${origin}/cart` });
  const registrationId = await registered;
  // One of forty messages given this way never reaches the worker: the browser says nothing, and takes the next.
  for (let tries = 1; seen.shown === undefined; tries += 1) {
    stage(`the message is shown, try ${tries}`);
    await worker.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data });
    const shown = tab.waitForFunction(async () => {
      const [shown] = await (await navigator.serviceWorker.ready).getNotifications();
      return shown && `${shown.title}: ${shown.body}`;
    }, null, { timeout: 10_000 });
    await shown.then(async (text) => { seen.shown = await text.jsonValue(); }, (error) => { if (tries === 5) throw error; console.error(error.message); });
  }
  stage('the tab closes');
  await tab.evaluate(() => relance.track('Left', { how: 'by closing the tab' }));
  await tab.close({ runBeforeUnload: false });
  // What was sent while the page went is there when the next page of the same shop has been taken.
  const next = await context.newPage();
  await next.goto(`${origin}/?`);
  await sent(next);
  await context.close();
}
// One who asked not to be tracked.
stage('a page that may not track');
{
  const { context, tab } = await open('data-page="on"', () => {
    Object.defineProperty(Navigator.prototype, 'doNotTrack', { get: () => '1' });
  });
  await tab.evaluate(() => { relance.track('Not Told'); relance.flush(); });
  seen.dnt = await tab.evaluate(() => [relance.id(), localStorage.length]);
  await context.close();
}
// One who is asked first: nothing before the answer, everything of this page after it, nothing after a no.
stage('a page that asks first');
{
  const { context, tab } = await open('data-consent="required"');
  await tab.evaluate(() => { relance.track('Before The Answer'); relance.flush(); });
  seen.before = await tab.evaluate(() => [relance.id(), localStorage.length]);
  const answered = sent(tab);
  await tab.evaluate(() => { relance.consent(true); relance.flush(); });
  seen.agreed = (await answered).status();
  await tab.evaluate(() => { relance.consent(false); relance.track('Not Told'); relance.flush(); });
  seen.after = await tab.evaluate(() => [relance.id(), Object.keys(localStorage).join()]);
  await context.close();
}
stage('the browser closes');
await browser.close();
shop.close();
console.log(JSON.stringify(seen));
