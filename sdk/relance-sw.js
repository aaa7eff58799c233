/* Relance's part of a shop's service worker: shows what is pushed, and opens the page that it is about. The shop's own file
   holds one line: importScripts("https://…/sdk/relance-sw.js"); */
"use strict";

self.addEventListener("push", function (event) {
  var message = {};
  try { message = event.data.json(); } catch (e) { message = { title: event.data ? event.data.text() : "" }; }
  event.waitUntil(self.registration.showNotification(String(message.title || ""), {
    body: message.body, icon: message.icon, image: message.image, tag: message.tag, data: { url: message.url }
  }));
});

self.addEventListener("notificationclick", function (event) {
  event.notification.close();
  var url = (event.notification.data || {}).url;
  if (/^https?:\/\//.test(url || "")) event.waitUntil(self.clients.openWindow(url));
});
