// The token stands behind the "#" of the link: no server gets to see it before it is sent.
"use strict";
const field = document.getElementById("token");
if (field && location.hash.length > 1) {
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  document.querySelector("input:not(#token)").focus();
}

// A page that asks for a code after the password would ask for the password once more: it stays in its field.
async function send(event) {
  event.preventDefault();
  const form = event.target;
  const password = form.elements.password.value;
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(location.pathname, { method: "POST", body });
  if (answer.redirected) return location.assign(answer.url);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceWith(page.querySelector("main"));
  const code = document.getElementById("code");
  if (code) document.getElementById("password").value = password;
  (code || document.getElementById("password")).focus();
  listen();
}
function listen() {
  const form = document.querySelector("form.sign-in");
  if (form) form.addEventListener("submit", (event) => send(event).catch(() => form.submit()));
}
listen();
