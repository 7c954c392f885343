// The API key of this browser tab: asked for when the service wants one, forgotten with the tab.

import { $ } from "/page/dom.js";

const NAME = "erfscope-key";
let asking = null; // one dialog, however many requests were refused at once

export const key = () => sessionStorage.getItem(NAME);

export function forget() {
  sessionStorage.removeItem(NAME);
  $("forget-key").hidden = true;
}

export function show() {
  $("forget-key").hidden = !key();
}

// Resolves to whether the user gave one; `words` is the service's own sentence about the refusal.
export function ask(words) {
  asking ??= new Promise((resolve) => {
    const dialog = $("key-dialog");
    $("key-words").textContent = words;
    $("key-input").value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(keep(dialog.returnValue)), { once: true });
    dialog.showModal();
  }).finally(() => (asking = null));
  return asking;
}

function keep(answer) {
  const given = $("key-input").value.trim();
  if (answer !== "use" || !given) return false;
  sessionStorage.setItem(NAME, given);
  show();
  return true;
}
