// See render_mjml.sh.
import mjml2html from 'mjml';
import Handlebars from 'handlebars';

const mails = Number(process.argv[2] ?? 300);
const names = ['Ann', 'Béatrice', 'Carl', 'Dalia', 'Émile', 'Fiona', 'Gwen', 'Hélène'];
const things = ['white hanging heart T-light holder', 'Regency cakestand, three tiers', 'jumbo bag red retrospot',
  'assorted colour bird ornament', 'set of three cake tins "pantry"', 'vintage Union Jack bunting'];
const utm = 'utm_source=relance&amp;utm_medium=email&amp;utm_campaign=rfm-recommendations';

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

function contact(i) {
  const products = Array.from({ length: 6 }, (_, n) => {
    const code = 20000 + ((i * 7 + n * 131) % 5000);
    const name = things[(i + n) % things.length];
    const price = ((95 + ((i * 13 + n * 37) % 4000)) / 100).toFixed(2);
    const link = `https://shop.example.test/p/${code}?${utm}&amp;utm_content=${encodeURIComponent(name)}`;
    return { name, link, image: `https://shop.example.test/i/${code}.png`, price: `£${price}` };
  });
  return { name: names[i % names.length], products, rows: [products.slice(0, 3), products.slice(3)], id: i };
}

const column = (p) => `<mj-column><mj-image src="${p.image}" alt="${p.name}" href="${p.link}" padding="8px"/>
  <mj-text padding="8px"><a href="${p.link}">${p.name}</a></mj-text><mj-text padding="0 8px"><strong>${p.price}</strong></mj-text>
  <mj-button href="${p.link}" background-color="#1f5c4d" width="100%" padding="8px">See it</mj-button></mj-column>`;
const section = (inner) => `<mj-section background-color="#ffffff" padding="0">${inner}</mj-section>`;
const page = (name, id, rows) => `<mjml lang="en"><mj-head><mj-title>${name}, a step above your favourites</mj-title>
  <mj-preview>Pieces picked for you.</mj-preview></mj-head><mj-body width="640px" background-color="#f3f0ea">
  ${section('<mj-column><mj-text align="center" font-size="24px"><a href="https://shop.example.test/">Lanternwick</a></mj-text></mj-column>')}
  <mj-section background-color="#1f5c4d"><mj-column><mj-text align="center" color="#ffffff"><h1>One step above</h1>
  <p>${name}, you have an eye for good things.<br>Here is what suits the pieces you chose last.</p></mj-text></mj-column></mj-section>
  ${rows}
  ${section('<mj-column><mj-button href="https://shop.example.test/new" background-color="#1f5c4d">Visit the shop</mj-button><mj-divider border-width="1px"/></mj-column>')}
  ${section('<mj-column><mj-text>Free delivery</mj-text></mj-column><mj-column><mj-text>30 days to change your mind</mj-text></mj-column>')}
  <mj-section><mj-column><mj-text align="center">You receive this because you subscribed.<br>Lanternwick, 12 Mill Lane<br>
  <a href="https://mail.example.test/u/${id}">Unsubscribe</a></mj-text></mj-column></mj-section></mj-body></mjml>`;

const cpu = () => { const u = process.cpuUsage(); return (u.user + u.system) / 1e6; };

async function measure(name, size, one) {
  for (let i = 0; i < Math.min(20, size); i += 1) await one(i);
  const wall = performance.now();
  const before = cpu();
  let bytes = 0;
  for (let i = 0; i < size; i += 1) bytes += Buffer.byteLength(await one(i));
  const seconds = (performance.now() - wall) / 1e3;
  const report = { bench: name, size, seconds, cpu_seconds: cpu() - before, rate: size / seconds,
    peak_rss_mb: process.resourceUsage().maxRSS * 1024 / 1e6, html_bytes: Math.round(bytes / size) };
  console.log(JSON.stringify(report));
}

// 1. The reference renderer for each recipient.
await measure('render:mjml', mails, async (i) => {
  const { name, rows, id } = contact(i);
  const safe = (p) => ({ ...p, name: escaped(p.name) });
  const body = rows.map((row) => section(row.map((p) => column(safe(p))).join(''))).join('');
  return (await mjml2html(page(escaped(name), id, body))).html;
});

// 2. MJML once, Handlebars for each recipient.
const card = column({ name: '{{name}}', link: '{{{link}}}', image: '{{image}}', price: '{{price}}' });
const loop = section([0, 1, 2].map((n) => card.replace(/\{\{(\{?)(\w+)/g, (_, brace, key) => `{{${brace}this.${n}.${key}`)).join(''));
const { html } = await mjml2html(page('{{name}}', '{{id}}', `<mj-raw>{{#each rows}}</mj-raw>${loop}<mj-raw>{{/each}}</mj-raw>`));
const compiled = Handlebars.compile(html);
await measure('render:handlebars', mails * 50, (i) => compiled(contact(i)));
