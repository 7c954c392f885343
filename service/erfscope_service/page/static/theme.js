// Light or dark: as the system says, or as the button on this page last said. Runs before the page is drawn.

"use strict";

(() => {
  const NAME = "erfscope-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => root.dataset.theme || (system.matches ? "dark" : "light");
  const changed = () => document.dispatchEvent(new Event("themechange"));

  function label() {
    const button = document.getElementById("theme");
    if (button) button.textContent = current() === "dark" ? "Light" : "Dark";
    button?.setAttribute("aria-label", `Switch to ${current() === "dark" ? "light" : "dark"} colours`);
  }

  function toggle() {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    localStorage.setItem(NAME, root.dataset.theme);
    label();
    changed();
  }

  const kept = localStorage.getItem(NAME);
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  system.addEventListener("change", () => (label(), changed()));
  document.addEventListener("DOMContentLoaded", () => {
    label();
    document.getElementById("theme")?.addEventListener("click", toggle);
  });
})();
