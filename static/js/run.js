// The page of a run: a window of rows that grows at both ends, follows the tail, and never holds
// more than MAX_ROWS. Works with what the server rendered: .chunk-edge links lead to the chunks
// before and after, and are plain links where this script does not run.
const MAX_ROWS = 600;
const NEAR_PX = 48;
const EDGE_MARGIN = "600px 0px";
const FOLLOW_MS = 200;
const SIDE_MS = 600;
const QUIET_MS = 300_000;
const REACH_BACK = 10;

const root = document.querySelector("[data-run]");
const list = document.getElementById("event-list");
const pane = document.getElementById("run-events");
const pill = document.querySelector("[data-pill]");
const edges = { earlier: document.querySelector("[data-edge=earlier]"), later: document.querySelector("[data-edge=later]") };

const allRows = () => [...list.querySelectorAll(".event-row")];
const chosenRow = () => list?.querySelector("[aria-selected=true]");
const paneScrolls = () => getComputedStyle(pane).overflowY !== "visible";
const scroller = () => (paneScrolls() ? pane : document.scrollingElement);
const atBottom = () => scroller().scrollHeight - scroller().scrollTop - scroller().clientHeight < NEAR_PX;
const toBottom = () => { scroller().scrollTop = scroller().scrollHeight; };
const writing = () => document.querySelector("[data-live-hold]");
// The detail of another row is on its way, and will take the place of the one that is there now.
const choosing = () => list.querySelector(".htmx-request");

function address(part, changes = {}) {
  const url = new URL(root.dataset.run + part + root.dataset.suffix, location.href);
  for (const [name, value] of Object.entries(changes)) url.searchParams.set(name, value);
  return url;
}

async function get(url) {
  const answer = await fetch(url, { headers: { "HX-Request": "true" }, credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  return holder.content;
}

const getChunk = async (url) => (await get(url)).querySelector("[data-chunk]");

function setEdge(name, href) {
  edges[name].hidden = !href;
  edges[name].href = href || "#";
}

const rowsOf = (href) => {
  const url = new URL(href, location.href);
  url.pathname += "rows/";
  return url;
};

// Choosing is rows.js's: it moves the focus, loads the detail and writes the address.
const choose = (row) => row.dispatchEvent(new CustomEvent("verel:choose", { bubbles: true }));

// ---- Folding

function showUnder(call, open) {
  for (const row of list.querySelectorAll(`[data-under="${CSS.escape(call.id.slice(2))}"]`)) {
    row.hidden = !open;
    row.toggleAttribute("data-row", open);
  }
}

function fold(call, open) {
  call.setAttribute("aria-expanded", String(open));
  call.querySelector("[data-fold]")?.setAttribute("aria-label", open ? "Fold the result" : "Unfold the result");
  showUnder(call, open);
}

// ---- Chunks before and after

let loading = false;

async function grow(name) {
  if (loading || edges[name].hidden) return;
  loading = true;
  const edge = edges[name];
  edge.removeAttribute("data-failed");
  try {
    const chunk = await getChunk(rowsOf(edge.href));
    if (name === "earlier") prepend(chunk);
    else append(chunk);
  } catch {
    edge.dataset.failed = "";
    edge.textContent = `${name === "earlier" ? "Earlier" : "Later"} events could not be loaded; the rows here are complete. Try again`;
  } finally {
    loading = false;
  }
}

function prepend(chunk) {
  const el = scroller();
  const height = el.scrollHeight;
  setEdge("earlier", chunk.dataset.earlier);
  list.prepend(...chunk.children);
  el.scrollTop += el.scrollHeight - height;
  const extra = allRows().slice(MAX_ROWS);
  if (!extra.length) return;
  for (const row of extra) row.remove();
  setEdge("later", address("", { after: allRows().at(-1).dataset.cursor }));
}

function append(chunk) {
  setEdge("later", chunk.dataset.later);
  list.append(...chunk.children);
  trimTop();
}

function trimTop() {
  const rows = allRows();
  const extra = rows.slice(0, Math.max(0, rows.length - MAX_ROWS));
  if (!extra.length) return;
  const el = scroller();
  const height = el.scrollHeight;
  for (const row of extra) row.remove();
  el.scrollTop -= height - el.scrollHeight;
  setEdge("earlier", address("", { before: allRows()[0].dataset.cursor }));
}

async function goNewest() {
  const chunk = await getChunk(address("rows/"));
  list.replaceChildren(...chunk.children);
  setEdge("earlier", chunk.dataset.earlier);
  setEdge("later", chunk.dataset.later);
  count(0);
  toBottom();
  const last = list.querySelectorAll("[data-row]");
  if (last.length) choose(last[last.length - 1]);
}

// ---- Live

const known = new Map();
// Branches whose lines all rows here are drawn with.
const drawn = new Set();
let fresh = 0;
let heardUpTo = null;
let following = false;
let again = null;
let sideTimer = 0;

function learn() {
  for (const row of document.querySelectorAll("#run-rail [data-seq]")) known.set(row.dataset.branch, Number(row.dataset.seq));
  for (const branch of known.keys()) drawn.add(branch);
}

function count(number) {
  fresh = number;
  pill.hidden = number === 0;
  pill.querySelector("[data-pill-count]").textContent = String(number);
}

const wordsOf = (rail) => new Map([...rail.querySelectorAll("[data-branch]")].map((row) => [row.dataset.branch, row.querySelector(".verdict")?.textContent.trim() ?? ""]));

// A verdict that came: the head's row tells it, and the detail tells the report.
async function tellVerdicts(before, after) {
  const judged = [...after].filter(([branch, word]) => before.has(branch) && before.get(branch) !== word);
  for (const [branch] of judged) {
    if (edges.later.hidden && !fresh && !writing()) await follow(branch);
    await refreshDetail(branch);
  }
}

async function refreshSide() {
  const side = await get(address("branches/"));
  const rail = side.getElementById("run-rail");
  const before = wordsOf(document.getElementById("run-rail"));
  const after = wordsOf(rail);
  for (const id of ["run-head", "run-rail"]) {
    const there = document.getElementById(id);
    const next = side.getElementById(id);
    // A menu that somebody has open, or a field in use, is not pulled away.
    if (there && next && !there.contains(document.activeElement) && !there.querySelector("details[open]")) {
      there.replaceWith(next);
      window.htmx?.process(next);
    }
  }
  await tellVerdicts(before, after);
}

// Graders report some time after the last event, and a report is not announced: the rail is read
// again, ever more rarely, until the run has been quiet for a while.
function sideSoon(wait = SIDE_MS) {
  clearTimeout(sideTimer);
  sideTimer = setTimeout(() => {
    refreshSide().catch(() => {});
    if (wait < QUIET_MS) sideSoon(wait * 2);
  }, wait);
}

// Where the rows begin that an event of this branch redraws: a little before its last row, so that
// calls and their results stay paired; for a branch that is new here, all rows.
function redrawFrom(branch) {
  const own = drawn.has(branch) ? [...list.querySelectorAll(`[data-branch="${CSS.escape(branch)}"]`)] : [];
  const from = own.at(-REACH_BACK) ?? own[0] ?? allRows()[0];
  return Number(from?.dataset.cursor ?? 1) - 1;
}

function merge(chunk) {
  for (const next of [...chunk.children]) {
    const row = document.getElementById(next.id);
    if (!row) {
      list.append(next);
      const call = next.dataset.under && document.getElementById(`e-${next.dataset.under}`);
      if (call?.getAttribute("aria-expanded") === "true") showUnder(call, true);
      continue;
    }
    row.innerHTML = next.innerHTML;
    row.toggleAttribute("data-forks", next.hasAttribute("data-forks"));
    if (!row.hasAttribute("aria-expanded") && next.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", "true");
  }
  setEdge("later", chunk.dataset.later);
  trimTop();
}

async function follow(branch) {
  if (following) {
    again = again === null || again === branch ? branch : "";
    return;
  }
  following = true;
  try {
    const chunk = await getChunk(address("rows/", { after: Math.max(0, redrawFrom(branch)), limit: MAX_ROWS }));
    const stay = atBottom();
    const stranger = [...chunk.children].find((row) => !drawn.has(row.dataset.branch) && row.dataset.branch !== branch);
    if (branch) drawn.add(branch);
    if (stranger) again = stranger.dataset.branch;
    merge(chunk);
    if (stay) toBottom();
    drawWindow();
  } finally {
    setTimeout(() => {
      following = false;
      const next = again;
      again = null;
      if (next !== null) follow(next).catch(() => {});
    }, FOLLOW_MS);
  }
}

// How many events of a branch are new to this page. The rail lists a part of many branches: of
// another one no more is new than was stored since the last announcement, whose first tells how
// things stand.
function unseen(branch, seq, position) {
  const before = known.get(branch);
  const more = before === undefined ? Math.min(seq, position - (heardUpTo ?? position)) : seq - before;
  known.set(branch, Math.max(seq, before ?? 0));
  heardUpTo = Math.max(position, heardUpTo ?? 0);
  return Math.max(0, more);
}

function hear({ branch, seq, position }) {
  sideSoon();
  refreshStasis(branch).catch(() => {});
  if (root.dataset.branch && branch && branch !== root.dataset.branch) return;
  const more = branch ? unseen(branch, seq, position) : 0;
  if (edges.later.hidden && atBottom() && !writing()) follow(branch).catch(() => {});
  else if (more) count(fresh + more);
}

// A question that was answered elsewhere is not left standing with live buttons; one that still
// waits is left as it is, for somebody may be about to answer it.
async function refreshStasis(branch) {
  const detail = document.getElementById("event-detail");
  if (detail?.dataset.branch !== branch || !detail.querySelector("[data-stasis]")) return;
  const next = (await get(`/events/${detail.dataset.event}/${root.dataset.suffix}`)).getElementById("event-detail");
  if (choosing() || !detail.isConnected || !next || next.querySelector("[data-stasis]")) return;
  detail.replaceWith(next);
  window.htmx?.process(next);
  lendKeys();
}

// Somebody who is at work in the detail is not disturbed, and an open question is left as it is.
async function refreshDetail(branch) {
  const detail = document.getElementById("event-detail");
  if (detail?.dataset.branch !== branch || detail.querySelector("[data-stasis]") || detail.contains(document.activeElement)) return;
  const next = (await get(`/events/${detail.dataset.event}/${root.dataset.suffix}`)).getElementById("event-detail");
  if (choosing() || !detail.isConnected || !next) return;
  const top = detail.scrollTop;
  detail.replaceWith(next);
  next.scrollTop = top;
  window.htmx?.process(next);
}

// ---- Minimap

let drawing = 0;

function visibleEnds() {
  const box = scroller() === pane ? pane.getBoundingClientRect() : { top: 0, bottom: innerHeight };
  const shown = allRows().filter((row) => {
    const place = row.getBoundingClientRect();
    return place.height && place.bottom > box.top && place.top < box.bottom;
  });
  return shown.length ? [Number(shown[0].dataset.position), Number(shown.at(-1).dataset.position)] : null;
}

function drawWindow() {
  cancelAnimationFrame(drawing);
  drawing = requestAnimationFrame(() => {
    const map = document.getElementById("run-minimap");
    const mark = map?.querySelector("[data-minimap-window]");
    const ends = mark && visibleEnds();
    if (!ends) return;
    const [first, last] = [Number(map.dataset.first), Number(map.dataset.last)];
    const place = (position) => 4 + (Math.min(Math.max(position, first), last) - first) / (last - first + 1) * 712;
    const [top, bottom] = [place(ends[0]), place(ends[1] + 1)];
    mark.setAttribute("y", top.toFixed(1));
    mark.setAttribute("height", Math.max(bottom - top, 10).toFixed(1));
  });
}

async function jumpTo(event) {
  const map = event.target.closest("#run-minimap");
  if (!map || root.dataset.branch || !map.dataset.last) return;
  const box = map.getBoundingClientRect();
  const [first, last] = [Number(map.dataset.first), Number(map.dataset.last)];
  const position = Math.round(first + (event.clientY - box.top) / box.height * (last - first));
  const chunk = await getChunk(address("rows/", { after: Math.max(0, position - 20) }));
  if (!chunk.children.length) return goNewest();
  list.replaceChildren(...chunk.children);
  setEdge("earlier", chunk.dataset.earlier);
  setEdge("later", chunk.dataset.later);
  scroller().scrollTop = 0;
  const row = list.querySelector("[data-row]");
  if (row) choose(row);
}

// ---- What the head of the list offers

const goTo = (id) => {
  const url = address("", { event: id });
  location.assign(url);
};

function nextError(link) {
  const rows = [...list.querySelectorAll("[data-row]")];
  const at = rows.indexOf(chosenRow());
  const next = rows.slice(at + 1).find((row) => row.hasAttribute("data-bad"));
  if (next) return choose(next);
  const url = new URL(link.href);
  const last = rows.at(-1) ?? chosenRow();
  url.searchParams.set("from", last?.dataset.position ?? "0");
  if (chosenRow()) url.searchParams.set("event", chosenRow().id.slice(2));
  location.assign(url);
}

function nextHit(link) {
  const told = document.querySelector("[data-hits]");
  const ids = told.dataset.hits.split(" ");
  const at = ids.indexOf(chosenRow()?.id.slice(2) ?? "");
  const by = Number(link.dataset.nextHit);
  const next = at < 0 ? 0 : (at + by + ids.length) % ids.length;
  const row = document.getElementById(`e-${ids[next]}`);
  if (!row) return goTo(ids[next]);
  if (row.hidden) fold(document.getElementById(`e-${row.dataset.under}`), true);
  told.querySelector("[data-hit-place]").textContent = String(next + 1);
  choose(row);
}

function foldAll(link) {
  const open = link.dataset.foldAll === "unfold";
  for (const call of list.querySelectorAll("[aria-expanded]")) fold(call, open);
  link.dataset.foldAll = open ? "fold" : "unfold";
  const word = open ? "Fold all results" : "Unfold all results";
  link.setAttribute("aria-label", word);
  link.title = word;
}

const press = (key) => document.dispatchEvent(new CustomEvent("verel:key", { cancelable: true, detail: { key, repeat: false } }));

const CLICKS = [
  ["[data-fold]", (el) => { const row = el.closest(".event-row"); fold(row, row.getAttribute("aria-expanded") !== "true"); }],
  ["[data-edge]", (el) => grow(el.dataset.edge)],
  ["[data-pill]", () => goNewest()],
  ["[data-next-error]", nextError],
  ["[data-next-hit]", nextHit],
  ["[data-fold-all]", foldAll],
  [".run-detail [data-step]", (el) => press(el.dataset.step)],
];

// While an approval is shown, "e" edits it; else it finds the next error. So with any key that both have.
function lendKeys() {
  const link = document.querySelector("[data-next-error]");
  if (!link) return;
  link.removeAttribute("data-key");
  const taken = [...document.querySelectorAll("[data-stasis] [data-key]")].some((el) => el.dataset.key === link.dataset.lentKey);
  if (!taken) link.dataset.key = link.dataset.lentKey;
}

// The detail that is swapped took the focus with it: the new one gets it, not the page's beginning.
let detailHadFocus = false;

function noteFocus(event) {
  if (event.detail.target?.id === "event-detail") detailHadFocus = event.detail.target.contains(document.activeElement);
}

function giveFocusBack(event) {
  if (!detailHadFocus || event.detail.target?.id !== "event-detail") return;
  detailHadFocus = false;
  document.getElementById("event-detail")?.focus({ preventScroll: true });
}

// A form that differs from what the server sent holds the live rows back.
function holdDrafts(event) {
  const form = event.target.form ?? event.target.closest?.("form");
  if (!form?.matches("[data-draft]")) return;
  const changed = [...form.elements].some((el) => "defaultValue" in el && el.type !== "hidden" && el.value !== el.defaultValue);
  form.toggleAttribute("data-live-hold", changed);
}

// Whoever opens an answer wants to write it.
document.addEventListener("toggle", (event) => {
  if (event.target.matches(".stasis-edit[open]")) event.target.querySelector("textarea")?.focus();
}, { capture: true });
document.addEventListener("input", holdDrafts);
document.addEventListener("reset", holdDrafts);

if (root && list) {
  learn();
  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    for (const [selector, act] of CLICKS) {
      const el = event.target.closest(selector);
      if (!el) continue;
      event.preventDefault();
      return act(el);
    }
    jumpTo(event);
  });
  // Before rows.js: G must reach the newest event, which may not be among the rows yet.
  document.addEventListener("verel:key", (event) => {
    if (event.detail.key !== "G" || edges.later.hidden) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    goNewest();
  }, { capture: true });
  document.querySelector("[data-kinds]")?.addEventListener("change", (event) => {
    const form = event.currentTarget;
    const place = document.createElement("input");
    place.type = "hidden";
    place.name = "event";
    place.value = chosenRow()?.id.slice(2) ?? "";
    if (place.value) form.append(place);
    form.requestSubmit();
  });
  root.addEventListener("verel:announce", (event) => hear(event.detail));
  lendKeys();
  document.addEventListener("htmx:afterSettle", lendKeys);
  document.addEventListener("htmx:beforeSwap", noteFocus);
  document.addEventListener("htmx:afterSwap", giveFocusBack);
  document.addEventListener("scroll", () => {
    drawWindow();
    if (fresh && edges.later.hidden && atBottom() && !writing()) {
      count(0);
      follow("").catch(() => {});
    }
  }, { capture: true, passive: true });

  const asked = new URL(location.href).searchParams;
  if ((asked.has("event") || asked.has("q")) && chosenRow()) chosenRow().scrollIntoView({ block: "center" });
  else if (!asked.has("after") && paneScrolls()) toBottom();
  // A page that scrolls as a whole begins at its head, with the first edge in sight: there the
  // edges wait to be pressed.
  if (paneScrolls()) {
    const watch = new IntersectionObserver((seen) => {
      for (const one of seen) if (one.isIntersecting) grow(one.target.dataset.edge);
    }, { root: pane, rootMargin: EDGE_MARGIN });
    for (const edge of Object.values(edges)) watch.observe(edge);
  }
  drawWindow();
}
