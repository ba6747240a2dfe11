// Cue cards found by a word, and names spelt letter by letter. Without this script the cards still open and close.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;

  // Every word that was typed must be on the card, in any order and any form that begins so.
  function search(box) {
    const wanted = box.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const cards = [...stage.querySelectorAll("#cue-cards details")];
    const found = cards.filter((card) => {
      card.hidden = !wanted.every((word) => card.dataset.sought.includes(word));
      return !card.hidden;
    });
    stage.querySelector("[data-if=cue-nothing]").hidden = found.length > 0;
    if (wanted.length && found.length) found[0].open = true;
    else for (const card of cards) card.open = false;
  }

  function spell(box) {
    const place = box.closest(".spelling");
    const names = new Map([...place.querySelectorAll(".letters li")].map((line) =>
      [line.firstElementChild.textContent, line.lastChild.textContent]));
    const signs = [...box.value.toLocaleUpperCase()].filter((sign) => sign.trim());
    place.querySelector("[data-spelt]").textContent = signs.map((sign) => names.get(sign) || sign).join(" · ");
  }

  stage.addEventListener("input", (event) => {
    if (event.target.matches("[data-cue-search]")) search(event.target);
    if (event.target.matches("[data-spell]")) spell(event.target);
  });
  // Opened while a last name stands in the note: that is what is to be spelt.
  stage.addEventListener("toggle", (event) => {
    const box = event.target.open && event.target.querySelector("[data-spell]");
    if (!box || box.value) return;
    box.value = stage.querySelector("#note-form [name=last_name]")?.value || "";
    spell(box);
  }, true);
  document.addEventListener("keydown", (event) => {
    const box = event.key === "F4" && !event.altKey && !event.ctrlKey && stage.querySelector("[data-cue-search]");
    if (!box || !box.checkVisibility()) return;
    event.preventDefault();
    box.select();
  });
})();
