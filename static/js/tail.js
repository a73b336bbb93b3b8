// A list that grows at its end. <div data-tail="/…/rows/?branch=…"> holds rows with data-cursor;
// on "verel:announce" the rows after the highest cursor are fetched and appended. The view follows
// only if it was at the bottom; otherwise [data-tail-pill] counts what is new and goes there.
const NEAR_PX = 48;
const AGAIN_MS = 50;
const busy = new WeakSet();
const again = new WeakSet();

const scroller = (list) => list.closest(".pane") ?? document.scrollingElement;
const atBottom = (el) => el.scrollHeight - el.scrollTop - el.clientHeight < NEAR_PX;
const pillOf = (list) => document.querySelector(`[data-tail-pill="${CSS.escape(list.id)}"]`);

function toBottom(list) {
  const el = scroller(list);
  el.scrollTop = el.scrollHeight;
  count(list, -Infinity);
}

function count(list, more) {
  const pill = pillOf(list);
  if (!pill) return;
  const total = Math.max(0, Number(pill.dataset.count ?? 0) + more);
  pill.dataset.count = String(total);
  pill.hidden = total === 0;
  const number = pill.querySelector("[data-tail-count]");
  if (number) number.textContent = String(total);
}

const cursorOf = (list) => Math.max(0, ...[...list.querySelectorAll("[data-cursor]")].map((row) => Number(row.dataset.cursor)));

async function fetchAfter(list) {
  if (busy.has(list)) return again.add(list);
  busy.add(list);
  const before = list.querySelectorAll("[data-cursor]").length;
  const follow = atBottom(scroller(list));
  const address = new URL(list.dataset.tail, location.href);
  address.searchParams.set("after", String(cursorOf(list)));
  try {
    await window.htmx.ajax("GET", address.pathname + address.search, { source: list, target: list, swap: "beforeend" });
  } finally {
    busy.delete(list);
  }
  const more = list.querySelectorAll("[data-cursor]").length - before;
  if (follow) toBottom(list);
  else if (more) count(list, more);
  if (again.delete(list)) setTimeout(fetchAfter, AGAIN_MS, list);
}

document.addEventListener("verel:announce", () => {
  for (const list of document.querySelectorAll("[data-tail]")) fetchAfter(list);
});

document.addEventListener("click", (event) => {
  const pill = event.target.closest("[data-tail-pill]");
  if (pill) toBottom(document.getElementById(pill.dataset.tailPill));
});

document.addEventListener("scroll", (event) => {
  for (const list of document.querySelectorAll("[data-tail]")) {
    if (scroller(list) === event.target && atBottom(event.target)) count(list, -Infinity);
  }
}, { capture: true, passive: true });
