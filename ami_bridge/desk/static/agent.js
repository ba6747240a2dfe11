// The agent's card: it opens when the own phone rings and stays, with what was typed, until the next call.
"use strict";
(() => {
  const me = document.body.dataset.me;
  const stage = document.getElementById("stage");
  if (!me || !stage) return;
  let shown = "";     // the call whose card is on the stage
  let wanted = "";    // the call whose card is being fetched
  const RING_LENGTH = 2 * Math.PI * 54;

  const card = () => stage.querySelector(".card");
  const mine = () => {
    const calls = [...desk.calls.values()];
    return calls.find((call) => call.agents.includes(me)) || calls.find((call) => call.ringing.includes(me));
  };

  async function open(call) {
    if (wanted === call.call_id) return;
    wanted = call.call_id;
    first(call);
    const whole = await fetched(call.call_id);
    if (wanted !== call.call_id) return; // it has ended, or another call rings by now
    wanted = "";
    if (whole === null) { shown = ""; return; } // the next event tries again
    const shownAt = card().dataset.shownAt;
    stage.innerHTML = whole; // our own template: every value in it is escaped
    card().dataset.shownAt = shownAt;
    htmx.process(stage);
    restoreDraft();
    follow(desk.calls.get(shown) || { call_id: shown, phase: "ended", agents: [], ringing: [] });
  }

  async function fetched(id) {
    try {
      const answer = await fetch(`/agent/card/${encodeURIComponent(id)}`, { headers: { "HX-Request": "true" } });
      return answer.ok ? await answer.text() : null;
    } catch { return null; }
  }

  // The ring counter and the number stand there at once; names, dossier and form follow when they are fetched.
  function first(call) {
    keepDraft();
    stage.replaceChildren(document.getElementById("first").content.cloneNode(true));
    const place = card();
    place.dataset.call = shown = call.call_id;
    place.dataset.shownAt = String(desk.now());
    place.querySelector("h1").textContent = call.name || (call.number ? `+${call.number.replace(/^\+/, "")}` : "…");
    follow(call);
  }

  function follow(call) {
    const place = card();
    if (!place || place.dataset.call !== call.call_id) return;
    const ringing = call.phase === "ringing" && call.ringing.includes(me);
    const gone = call.phase === "ended" || !(ringing || call.agents.includes(me));
    const served = call.agents.includes(me) || place.dataset.phase === "greeting" || place.dataset.phase === "talking";
    const before = place.dataset.phase;
    place.dataset.phase = gone ? "ended" : call.agents.includes(me) ? (call.phase === "talking" ? "talking" : "greeting") : "ringing";
    if (gone && !served && before === "ringing") return leave(); // somebody else took it, or the caller gave up
    if (gone && before !== "ended") ended(place, call);
    place.live = call;
    place.toggleAttribute("data-held", Boolean(call.held_since));
    if (place.dataset.phase === "talking" && !place.dataset.talkingSince) place.dataset.talkingSince = call.talk_started_at || "";
    tick();
  }

  function ended(place, call) {
    place.dataset.endedAt = call.ended_at || new Date(desk.now()).toISOString();
    place.querySelector("#note-form [name=last_name]")?.focus({ preventScroll: true });
  }

  function leave() {
    keepDraft();
    shown = wanted = "";
    stage.replaceChildren(document.getElementById("idle").content.cloneNode(true));
  }

  function look() {
    const call = mine();
    if (call && call.call_id !== shown) return open(call);
    if (!shown) return;
    const known = desk.calls.get(shown);
    if (known) follow(known);
    else if (card() && card().dataset.phase !== "ended") follow({ call_id: shown, phase: "ended", agents: [], ringing: [] });
  }

  document.addEventListener("fr:picture", look);
  document.addEventListener("fr:calls", (event) => {
    const call = event.detail;
    if (call.call_id === shown || call.absorbed.includes(shown)) follow({ ...call, call_id: shown });
    look();
  });

  // Live figures -----------------------------------------------------------------------------------------
  const set = (place, name, text) => {
    const into = place.querySelector(`[data-live=${name}]`);
    if (into && into.textContent !== String(text)) into.textContent = text;
  };
  const since = (instant) => (instant ? (desk.now() - Date.parse(instant)) / 1000 : 0);

  function tick() {
    const place = card();
    if (place?.dataset.phase === "ended") showCountdown(place); // also a card that was opened after its call
    if (!place || !place.live) return;
    if (place.dataset.phase === "ringing") showRing(place, place.live.ring);
    if (place.dataset.phase === "greeting") set(place, "greeting-clock", desk.clock(since(place.live.answered_at)));
    if (place.dataset.phase === "talking") showTalk(place, place.live);
  }

  function showRing(place, ring) {
    if (!ring) {
      place.dataset.ring = "none";
      set(place, "count", desk.clock(since(place.live.wait?.joined_at || place.live.started_at)));
      return;
    }
    const number = desk.ringOf(ring);
    const most = ring.answer_by_ring;
    const whole = (most - 1) * ring.period_seconds + ring.tone_seconds;
    const gone = Math.min(1, since(ring.started_at) / whole);
    place.dataset.ring = gone >= 1 ? "over" : number === 1 && most > 1 ? "early" : number >= most ? "last" : "ideal";
    set(place, "count", Math.min(number, most));
    place.querySelector(".dial .run")?.setAttribute("stroke-dashoffset", String(RING_LENGTH * gone));
    place.querySelectorAll(".pips li").forEach((pip, index) => pip.toggleAttribute("data-on", index < number));
  }

  function showTalk(place, call) {
    set(place, "talk-clock", desk.clock(since(call.talk_started_at)));
    const talk = call.talk || {};
    const agent = (talk.agent_seconds || 0) + since(talk.agent_since);
    const caller = (talk.caller_seconds || 0) + since(talk.caller_since);
    const both = agent + caller;
    const share = both > 0 ? Math.round((100 * agent) / both) : null;
    const bar = place.querySelector(".bar");
    if (!bar) return; // the page was opened during the talk, and the whole card is still being fetched
    bar.querySelector(".agent").style.width = `${share ?? 0}%`;
    bar.querySelector(".caller").style.width = share === null ? "0%" : `${100 - share}%`;
    set(place, "share", share === null ? "–" : `${share} %`);
    place.querySelector("[data-if=share-much]").hidden = !(share !== null && both >= 10 && share > 40);
    place.querySelector("[data-if=share-good]").hidden = !(share !== null && both >= 10 && share <= 40);
    place.querySelector("[data-if=share-none]").hidden = share !== null;
    place.querySelector("[data-side=agent]").toggleAttribute("data-speaks", Boolean(talk.agent_since));
    place.querySelector("[data-side=caller]").toggleAttribute("data-speaks", Boolean(talk.caller_since));
    const first = talk.caller_first_turn_seconds;
    const intro = first ?? since(call.talk_started_at);
    set(place, "intro", desk.clock(intro));
    place.querySelector("[data-live=intro]").classList.toggle("over", intro > Number(place.dataset.introduction || 45));
    place.querySelector("[data-if=intro-done]").hidden = first === null || first === undefined;
    place.querySelector("[data-if=intro-open]").hidden = !(first === null || first === undefined);
    const held = call.held_since ? since(call.held_since) : call.held_seconds || 0;
    set(place, "hold", desk.clock(held));
    place.querySelector("[data-live=hold]").classList.toggle("over", Boolean(call.held_since) && held > 30);
    set(place, "hold-now", desk.clock(held));
    set(place, "transfers", call.transfers);
  }

  function showCountdown(place) {
    const down = place.querySelector(".countdown");
    if (!down) return;
    const left = Number(down.dataset.seconds) - since(place.dataset.endedAt);
    down.toggleAttribute("data-late", left < 0);
    down.textContent = (left < 0 ? "−" : "") + desk.clock(Math.abs(left));
  }
  setInterval(tick, 100);

  // What was typed is kept in this browser until it is saved -----------------------------------------------
  const key = (form) => `note:${form.dataset.call}`;
  function keepDraft() {
    const form = stage.querySelector("#note-form");
    if (!form || !form.dataset.touched) return;
    try { sessionStorage.setItem(key(form), JSON.stringify(Object.fromEntries(new FormData(form)))); } catch { /* full */ }
  }
  function restoreDraft() {
    const form = stage.querySelector("#note-form");
    const kept = form && sessionStorage.getItem(key(form));
    if (!kept) return;
    for (const [name, value] of Object.entries(JSON.parse(kept))) {
      const field = form.elements.namedItem(name);
      if (!field || name.startsWith("_")) continue;
      if (field.type === "checkbox") field.checked = Boolean(value);
      else field.value = value;
    }
    form.dataset.touched = "yes";
  }
  stage.addEventListener("input", (event) => {
    const form = event.target.closest("#note-form");
    if (form) { form.dataset.touched = "yes"; keepDraft(); }
    if (event.target.name === "outcome") showPromise();
  });
  function showPromise() {
    const outcome = stage.querySelector("[name=outcome]");
    for (const part of stage.querySelectorAll("[data-if=promise]")) part.hidden = outcome?.value !== "promise";
  }
  document.addEventListener("htmx:afterSwap", () => {
    showPromise();
    tick();
    if (stage.querySelector("#note-form[data-stored]")) {
      const form = stage.querySelector("#note-form");
      sessionStorage.removeItem(key(form));
    }
  });
  stage.addEventListener("click", (event) => { if (event.target.closest("[data-next]")) leave(); });
  showPromise();
  look();
})();
