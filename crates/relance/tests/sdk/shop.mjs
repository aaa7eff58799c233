// A shop's server that uses Segment's library for Node as it is: MODULES HOST KEY.
import { createRequire } from 'node:module';

const [modules, host, writeKey] = process.argv.slice(2);
const { Analytics } = createRequire(`${modules}/`)('@segment/analytics-node');
const analytics = new Analytics({ writeKey, host, flushAt: 5, maxRetries: 2 });
const errors = [];
analytics.on('error', (error) => errors.push(error.code ?? String(error)));

const userId = 'js-1';
const products = [{ product_id: 'js-mug', name: 'Mug', price: 4.5, quantity: 2 }];
analytics.identify({ userId, traits: { email: 'joe@shop.example', firstName: 'Joe', visits: 3 } });
analytics.track({ userId, event: 'Product Viewed', properties: { product_id: 'js-mug', currency: 'EUR', price: 4.5 } });
analytics.page({ userId, name: 'Mugs', properties: { url: 'https://shop.example/mugs' } });
analytics.screen({ userId, name: 'Home' });
analytics.group({ userId, groupId: 'club' });
analytics.track({ userId, event: 'Checkout Started', properties: { cart_id: 'js-cart', currency: 'EUR', products } });
analytics.track({ userId, event: 'Order Completed',
  properties: { order_id: 'js-o', cart_id: 'js-cart', total: 9, currency: 'EUR', products } });
analytics.track({ userId, event: 'Order Refunded', properties: { order_id: 'js-o', total: 4.5, products: [
  { product_id: 'js-mug', quantity: 1 }] } });
analytics.track({ anonymousId: 'js-browser', event: 'Product Viewed', properties: { product_id: 'js-mug' } });
analytics.alias({ userId, previousId: 'js-browser' });
await analytics.closeAndFlush();
console.log(errors.join('\n'));
