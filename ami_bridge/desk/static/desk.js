// What every page needs: look, keys, dialogs; parts of a page that are fetched again when something changed.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  byId("theme")?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* only for this page then */ }
  });

  // Parts that say data-follows="call note": fetched again when such a thing changed, once in a while at the most.
  const waiting = new Map();
  function refresh(part) {
    waiting.delete(part);
    if (!part.isConnected) return;
    // Somebody listens to a recording or fills in a form in there: do not take it away.
    const busy = [...part.querySelectorAll("audio")].some((audio) => !audio.paused)
      || (part.contains(document.activeElement) && /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName))
      || part.querySelector("dialog[open]");
    if (busy) return later(part);
    htmx.trigger(part, "refresh");
  }
  function later(part) {
    if (!waiting.has(part)) waiting.set(part, setTimeout(refresh, Number(part.dataset.pace || 800), part));
  }
  function changed(kind) {
    for (const part of document.querySelectorAll("[data-follows]"))
      if (kind === "reset" || part.dataset.follows.split(" ").includes(kind)) later(part);
  }
  document.addEventListener("fr:stored", (event) => changed(event.detail.kind));
  document.addEventListener("fr:calls", () => changed("live"));
  document.addEventListener("fr:picture", () => changed("live"));

  // Clocks: <b data-since="instant"> counts up, data-until counts down.
  const twoDigits = (number) => String(number).padStart(2, "0");
  desk.clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const minutes = Math.floor(whole / 60);
    const hours = Math.floor(minutes / 60);
    return hours ? `${hours}:${twoDigits(minutes % 60)}:${twoDigits(whole % 60)}` : `${minutes}:${twoDigits(whole % 60)}`;
  };
  function tick() {
    for (const shown of document.querySelectorAll("[data-since]")) {
      const text = desk.clock((desk.now() - Date.parse(shown.dataset.since)) / 1000);
      if (shown.textContent !== text) shown.textContent = text;
    }
    for (const row of document.querySelectorAll("[data-ring-started]")) {
      const ring = desk.ringOf({ started_at: row.dataset.ringStarted, period_seconds: Number(row.dataset.ringPeriod) });
      const most = Number(row.dataset.ringMost);
      row.querySelectorAll("i").forEach((pip, place) => {
        pip.classList.toggle("on", place < ring && ring <= most);
        pip.classList.toggle("hot", place < ring && ring === most);
      });
      const number = row.parentElement.querySelector("[data-ring-number]");
      if (number) number.textContent = Math.min(ring, most);
    }
  }
  // The ring clock's own sum (core/cadence.py): floor((t - ring_start) / period) + 1.
  desk.ringOf = (ring) =>
    Math.max(1, Math.floor((desk.now() - Date.parse(ring.started_at)) / 1000 / ring.period_seconds) + 1);
  setInterval(tick, 250);

  // <button data-opens="dialog-id">, and a click on a dialog's background closes it.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) byId(opener.dataset.opens)?.showModal();
    if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
    if (event.target instanceof HTMLDialogElement) event.target.close();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const dialog = event.target.closest?.("dialog");
    if (event.detail.successful && dialog && !("stays" in dialog.dataset)) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "?" && !typing) byId("keys")?.showModal();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.closest("form")?.requestSubmit();
    if (event.key === "F2") { event.preventDefault(); document.querySelector("#note-form [name]:not([type=hidden])")?.focus(); }
    if (event.key === "F8") { event.preventDefault(); byId("availability")?.querySelector("[data-key=pause]")?.click(); }
  });
})();
