// Keeps the page fresh: when the feed says that something changed, the content is fetched again.
// Without scripts the page still works; it is then as fresh as its last load.
"use strict";
const content = document.getElementById("content");
let due = 0;

async function refresh() {
  due = 0;
  // Somebody is listening to a recording: do not take it away.
  if ([...document.querySelectorAll("audio")].some((audio) => !audio.paused)) return later();
  const answer = await fetch("/", { headers: { Accept: "text/html" } });
  if (answer.redirected) return location.reload();
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  content.replaceChildren(...page.getElementById("content").childNodes);
}

function later() {
  if (!due) due = setTimeout(() => refresh().catch(() => {}), 400);
}

const feed = new EventSource("/api/v1/live");
for (const kind of ["call", "callback", "note", "directory", "reset"]) feed.addEventListener(kind, later);
