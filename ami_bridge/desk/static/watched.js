// Who else is in the agent's call: nobody listens unannounced.
"use strict";
(() => {
  const me = document.body.dataset.me;
  const notice = document.getElementById("watched");
  if (!me || !notice) return;
  let before = null; // who was taking the call over when it was last seen
  let timer = 0;

  const say = (text) => {
    clearTimeout(timer);
    if (notice.textContent !== text) notice.textContent = text;
    notice.hidden = !text;
  };
  function look() {
    const call = [...desk.calls.values()].find((each) => each.agents.includes(me) && each.watched?.length);
    if (call) {
      before = call.watched.find((each) => each.mode === "take") || null;
      return say(call.watched.map((each) => `${each.by} ${notice.dataset[each.mode]}`).join(" "));
    }
    if (!before) return timer || say("");
    say(`${before.by} ${notice.dataset.taken}`);
    before = null;
    timer = setTimeout(() => { timer = 0; say(""); }, 15000);
  }
  document.addEventListener("fr:calls", look);
  document.addEventListener("fr:picture", look);
})();
