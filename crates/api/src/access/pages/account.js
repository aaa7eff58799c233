// The token stands behind the "#" of the link: no server gets to see it before it is sent.
"use strict";
const field = document.getElementById("token");
if (field && location.hash.length > 1) {
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  document.querySelector("input:not(#token)").focus();
}
