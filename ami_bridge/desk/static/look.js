// The chosen look, before the first paint; without a choice the system's own holds.
"use strict";
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* a browser that keeps nothing */ }
if (new URLSearchParams(location.search).has("big")) document.documentElement.dataset.screen = "big";
