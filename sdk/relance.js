/* Relance in a shop's pages: https://…/sdk/relance.js. docs/tracking.md says how to put it in. No dependencies. */
(function (w, d, n) {
  "use strict";
  var tag = d.currentScript || d.querySelector("script[data-key][src*='relance.js']") || d.createElement("script");
  var set = tag.dataset || {};
  var base = (set.host || (tag.src || "").replace(/\/sdk\/relance\.js.*$/, "")).replace(/\/$/, "");
  var waiting = w.relance && w.relance.slice ? w.relance : [];
  var MAX = 100; // messages that are kept while nothing can be sent
  var TOGETHER = 20; // messages after which is sent at once
  var BYTES = 60000; // of a request: what browsers let a page send while it goes
  var DELAY = 2000; // milliseconds for which messages are collected
  var SLOWEST = 300000; // milliseconds between tries at most

  /* First-party storage, which a browser may refuse: then it lasts as long as the page. */
  var memory = {};
  function load(name) {
    try { return w.localStorage.getItem("relance_" + name); } catch (e) { return memory[name] || null; }
  }
  function save(name, value) {
    try {
      if (value === null) w.localStorage.removeItem("relance_" + name);
      else w.localStorage.setItem("relance_" + name, value);
    } catch (e) { memory[name] = value; }
  }
  function parse(text, otherwise) {
    try { return JSON.parse(text) || otherwise; } catch (e) { return otherwise; }
  }

  function id() {
    if (w.crypto && w.crypto.randomUUID) return w.crypto.randomUUID();
    var bytes = w.crypto.getRandomValues(new Uint8Array(16));
    return Array.prototype.map.call(bytes, function (b) { return (b + 256).toString(16).slice(1); }).join("");
  }

  /* Whether may be told of this person at all: what they said, else what their browser says, else what the shop says. */
  function allowed() {
    var said = load("consent");
    if (said) return said === "yes";
    var no = n.globalPrivacyControl === true || n.doNotTrack === "1" || w.doNotTrack === "1";
    return !(no && set.dnt !== "ignore") && set.consent !== "required";
  }

  var queue = [], timer = null, failures = 0, sending = false, early = [];

  function anonymous() {
    var known = load("anonymous");
    if (!known) save("anonymous", (known = id()));
    return known;
  }

  function context() {
    var zone = "";
    try { zone = Intl.DateTimeFormat().resolvedOptions().timeZone; } catch (e) { /* an old browser */ }
    return {
      locale: n.language, timezone: zone, library: { name: "relance.js", version: "1" },
      page: { url: w.location.href, path: w.location.pathname, title: d.title, referrer: d.referrer }
    };
  }

  function put(type, fields) {
    var message = { type: type, messageId: id(), timestamp: new Date().toISOString(), context: context() };
    for (var name in fields) if (fields[name] !== undefined) message[name] = fields[name];
    if (!allowed()) {
      // Kept in memory alone, for when they agree on this page.
      if (load("consent") !== "no" && early.length < MAX) early.push(message);
      return;
    }
    name_it(message);
  }

  function name_it(message) {
    message.anonymousId = anonymous();
    var user = message.userId || load("user");
    if (user) message.userId = user;
    queue.push(message);
    if (queue.length > MAX) queue.shift();
    schedule(queue.length >= TOGETHER ? 0 : DELAY);
  }

  function schedule(delay) {
    if (sending || (failures && timer)) return;
    if (timer) clearTimeout(timer);
    timer = setTimeout(function () { timer = null; flush(); }, delay);
  }

  /* As many messages as fit into a request, and the request. */
  function pack() {
    var part = [], bytes = 200;
    for (var i = 0; i < queue.length; i++) {
      bytes += JSON.stringify(queue[i]).length * 1.1 + 1;
      if (part.length && bytes > BYTES) break;
      part.push(queue[i]);
    }
    var body = JSON.stringify({ writeKey: set.key, sentAt: new Date().toISOString(), batch: part });
    return { number: part.length, body: body };
  }

  function flush() {
    if (sending || !queue.length || !set.key || !allowed()) return;
    sending = true;
    var request = pack();
    // As text, which browsers send to another origin without asking first.
    var options = { method: "POST", body: request.body, headers: { "Content-Type": "text/plain" }, credentials: "omit" };
    w.fetch(base + "/v1/batch", options).then(function (answer) {
      if (answer.status === 429 || answer.status === 408 || answer.status >= 500) {
        return again(1000 * (Number(answer.headers.get("Retry-After")) || 0));
      }
      // Taken, or refused for good: the server keeps what it refused for the shop to see.
      sending = false;
      failures = 0;
      queue.splice(0, request.number);
      if (queue.length) schedule(0);
    }, function () { again(0); });
  }

  function again(least) {
    sending = false;
    failures++;
    var delay = Math.min(SLOWEST, DELAY * Math.pow(2, failures)) * (0.5 + Math.random() / 2);
    schedule(Math.max(least, delay));
  }

  /* The page goes: what waits goes with it, or waits in storage for the next page. What arrives twice counts once. */
  function leave() {
    while (queue.length && allowed()) {
      var request = pack(), sent = false;
      try { sent = n.sendBeacon(base + "/v1/batch", request.body); } catch (e) { sent = false; }
      if (!sent) break;
      queue.splice(0, request.number);
    }
    if (queue.length) {
      var kept = parse(load("queue"), []).concat(queue).slice(-MAX);
      save("queue", JSON.stringify(kept));
      queue = [];
    }
  }

  function bytes(text) {
    var raw = w.atob((text + "===".slice((text.length + 3) % 4)).replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(raw, function (c) { return c.charCodeAt(0); });
  }

  var api = {
    page: function (name, properties) { put("page", { name: name, properties: properties || {} }); },
    track: function (event, properties) { put("track", { event: event, properties: properties || {} }); },
    product: function (product) { api.track("Product Viewed", product); },
    add: function (product) { api.track("Product Added", product); },
    remove: function (product) { api.track("Product Removed", product); },
    /* The whole cart as it stands: {cart_id, currency, products, recovery_url}. */
    cart: function (cart) { api.track("Cart Updated", cart); },
    identify: function (user, traits) {
      if (user && typeof user === "object") { traits = user; user = undefined; }
      if (user) user = String(user);
      // Somebody else signs in on this computer: from here on a browser of theirs.
      if (user && load("user") && load("user") !== user) save("anonymous", null);
      if (user && allowed()) save("user", user);
      put("identify", { userId: user, traits: traits || {} });
    },
    /* Mail for a purpose: yes, or no. */
    subscribe: function (email, purpose, more) {
      put("track", { event: "Subscribed", properties: Object.assign({ email: email, purpose: purpose }, more) });
    },
    unsubscribe: function (purpose) { api.track("Unsubscribed", { purpose: purpose }); },
    /* Whether this person may be told of: true, or false, which also forgets them here. */
    consent: function (yes) {
      save("consent", yes ? "yes" : "no");
      if (yes) early.splice(0).forEach(name_it);
      else { queue = []; early = []; forget(); }
    },
    /* Messages of the browser itself. `key` is the server's public key, `worker` a file of the shop's own origin that holds
       importScripts("…/sdk/relance-sw.js"). Call it from a click: browsers ask then. */
    push: function (key, worker) {
      return n.serviceWorker.register(worker || "/relance-sw.js").then(function () {
        return n.serviceWorker.ready;
      }).then(function (ready) {
        return ready.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
      }).then(function (subscription) {
        put("identify", { traits: { push_subscription: subscription.toJSON() } });
        return subscription;
      });
    },
    /* Somebody signs out. */
    reset: function () { leave(); forget(); },
    flush: flush,
    id: function () { return allowed() ? anonymous() : null; }
  };

  function forget() {
    ["anonymous", "user", "queue"].forEach(function (name) { save(name, null); });
  }

  /* Calls that were made before this file came: relance.push(["track", "…", {…}]) on the list that stood here. */
  var push = api.push;
  api.push = function (call, worker) {
    if (Array.isArray(call)) return api[call[0]].apply(api, call.slice(1));
    return push(call, worker);
  };
  w.relance = api;
  if (allowed()) {
    queue = parse(load("queue"), []);
    save("queue", null);
    if (queue.length) schedule(DELAY);
  }
  for (var i = 0; i < waiting.length; i++) api.push(waiting[i]);
  if (set.page !== "off") api.page();
  if (set.spa === "on") {
    var was = w.history.pushState;
    w.history.pushState = function () { var r = was.apply(this, arguments); api.page(); return r; };
    w.addEventListener("popstate", function () { api.page(); });
  }
  w.addEventListener("pagehide", leave);
  d.addEventListener("visibilitychange", function () { if (d.visibilityState === "hidden") leave(); });
})(window, document, navigator);
