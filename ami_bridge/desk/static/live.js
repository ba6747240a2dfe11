// The live feed of this page: one connection, the calls that go on, and the server's clock.
// Others listen on document: "fr:calls" (a call changed; detail is the call), "fr:picture" (all of them anew) and
// "fr:stored" (something was written; detail.kind and detail.subject).
"use strict";
window.desk = { calls: new Map(), offset: 0, linked: false, last: "", seen: 0 };

(() => {
  const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  let refused = 0;

  function showLink() {
    const banner = document.getElementById("link-lost");
    if (banner) banner.hidden = desk.linked;
    document.documentElement.dataset.linked = desk.linked;
  }

  function open() {
    const feed = new EventSource("/api/v1/live");
    const on = (kind, act) => feed.addEventListener(kind, (event) => {
      desk.last = event.lastEventId;
      desk.seen += 1;
      act(JSON.parse(event.data));
    });
    feed.addEventListener("open", () => { refused = 0; });
    on("picture", (picture) => {
      // How far this computer's clock is from the server's: rings are counted on the server's.
      desk.offset = Date.parse(picture.now) - Date.now();
      desk.calls = new Map(picture.calls.map((call) => [call.call_id, call]));
      desk.linked = picture.linked;
      showLink();
      tell("fr:picture", {});
    });
    on("live", (call) => {
      for (const part of call.absorbed) desk.calls.delete(part);
      if (call.phase === "ended") desk.calls.delete(call.call_id);
      else desk.calls.set(call.call_id, call);
      tell("fr:calls", call);
    });
    on("link", (link) => { desk.linked = link.linked; showLink(); });
    on("reset", () => tell("fr:stored", { kind: "reset", subject: "" }));
    for (const kind of ["call", "callback", "note", "mark", "agreement", "directory", "members"]) on(kind, (change) => tell("fr:stored", change));
    feed.addEventListener("error", () => {
      desk.linked = false;
      showLink();
      if (feed.readyState !== EventSource.CLOSED) return; // the browser tries again by itself, with Last-Event-ID
      feed.close();
      refused += 1;
      if (refused > 2) return location.reload(); // the session is over: the login page says so
      setTimeout(open, 2000 * refused);
    });
  }
  desk.now = () => Date.now() + desk.offset;
  open();
})();
