// During a talk: finish and transfer by key, and the instant at which the note was begun.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;
  const headers = JSON.parse(document.body.getAttribute("hx-headers") || "{}");
  let begun = "";

  document.addEventListener("keydown", (event) => {
    const name = { F9: "finish", F10: "transfer" }[event.key];
    const button = name && stage.querySelector(`[data-key=${name}]`);
    if (!button || !button.checkVisibility()) return;
    event.preventDefault();
    button.click();
  });
  // Told once a call; the server takes the first one only, and nobody waits for it.
  stage.addEventListener("input", (event) => {
    const form = event.target.closest("#note-form");
    const place = form?.closest(".card");
    if (!form || begun === form.dataset.call || place?.dataset.phase === "ended") return;
    begun = form.dataset.call;
    fetch(`/agent/typing/${encodeURIComponent(begun)}`, { method: "POST", headers }).catch(() => { begun = ""; });
  });
})();
