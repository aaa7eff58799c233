// A shop's pages with the snippet in a real browser: MODULES HOST KEY CHROMIUM. Prints what the pages saw, as JSON.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const [modules, host, key, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)('playwright-core');

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

const browser = await chromium.launch({
  executablePath,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
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
  const { context, tab } = await open('');
  const first = sent(tab);
  await tab.evaluate(() => {
    relance.add({ cart_id: 'web-cart', product_id: 'web-mug', quantity: 2, price: 4.5, currency: 'EUR' });
    relance.identify('web-1', { email: 'wim@shop.example' });
    relance.subscribe('wim@shop.example', 'newsletter', { source: 'footer' });
  });
  seen.status = (await first).status();
  seen.id = await tab.evaluate(() => relance.id());
  await context.grantPermissions(['notifications'], { origin });
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
  await pushed;
  const worker = await context.newCDPSession(tab);
  const registered = new Promise((found) => worker.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
    if (registrations.length) found(registrations[0].registrationId);
  }));
  await worker.send('ServiceWorker.enable');
  const data = JSON.stringify({ title: 'Your cart', body: 'waits', url: `${origin}/cart` });
  await worker.send('ServiceWorker.deliverPushMessage', { origin, registrationId: await registered, data });
  seen.shown = await tab.evaluate(async () => {
    const registration = await navigator.serviceWorker.ready;
    for (;;) {
      const [shown] = await registration.getNotifications();
      if (shown) return `${shown.title}: ${shown.body}`;
      await new Promise((next) => setTimeout(next, 20));
    }
  });
  await tab.evaluate(() => relance.track('Left', { how: 'by closing the tab' }));
  await tab.close({ runBeforeUnload: false });
  // What was sent while the page went is there when the next page of the same shop has been taken.
  const next = await context.newPage();
  await next.goto(`${origin}/?`);
  await sent(next);
  await context.close();
}
// One who asked not to be tracked.
{
  const { context, tab } = await open('data-page="on"', () => {
    Object.defineProperty(Navigator.prototype, 'doNotTrack', { get: () => '1' });
  });
  await tab.evaluate(() => { relance.track('Not Told'); relance.flush(); });
  seen.dnt = await tab.evaluate(() => [relance.id(), localStorage.length]);
  await context.close();
}
// One who is asked first: nothing before the answer, everything of this page after it, nothing after a no.
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
await browser.close();
shop.close();
console.log(JSON.stringify(seen));
