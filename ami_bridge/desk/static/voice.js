// The page of the own voice: a WAV goes up as it is, the answer is what callers hear from now on.
"use strict";
(() => {
  const fault = document.getElementById("voice-fault");
  const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];

  async function ask(method, form, body) {
    fault.hidden = true;
    const headers = { "X-CSRF-Token": token, ...(body ? { "Content-Type": "audio/wav" } : {}) };
    const answer = await fetch(form.dataset.voice, { method, headers, body }).catch(() => null);
    if (answer?.ok) return location.reload();
    const told = await answer?.json().catch(() => null);
    fault.textContent = told?.detail ?? document.getElementById("link-lost").textContent;
    fault.hidden = false;
  }

  for (const form of document.querySelectorAll("form[data-voice]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask("PUT", form, form.elements.file.files[0]);
    });
    form.querySelector("[data-forget]")?.addEventListener("click", () => ask("DELETE", form));
  }
})();
