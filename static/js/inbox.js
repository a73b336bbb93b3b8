// Deciding at speed. Everything works without this module, as forms; it adds:
//   the next item is claimed and rendered while this one is read, and shown the moment a key decides
//   an answer that is refused brings its item back, with what was filled in
//   drafts are kept on the server, claims stay alive while one reads, the list follows the socket
const BEAT_MS = 120_000;
const DRAFT_MS = 700;
const LIST_MS = 250;
const TICK_MS = 1000;

const root = document.querySelector("[data-inbox]");
const undoPlace = document.getElementById("inbox-undo");
const alarm = document.getElementById("alarm");
const paneNow = () => document.getElementById("inbox-pane");
const csrf = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];

class Refused extends Error {
  constructor(status, body) {
    super(String(status));
    this.body = body;
  }
}

async function send(url, body) {
  const headers = { "HX-Request": "true", "X-CSRFToken": csrf() };
  const answer = await fetch(url, { method: body ? "POST" : "GET", headers, body, credentials: "same-origin" });
  const text = await answer.text();
  if (!answer.ok) throw new Refused(answer.status, text);
  return text;
}

function parse(text) {
  const holder = document.createElement("template");
  holder.innerHTML = text;
  return holder.content.firstElementChild;
}

function tell(error) {
  const notice = error instanceof Refused && error.body.includes("data-refusal=") ? parse(error.body) : null;
  if (notice) return alarm.replaceChildren(notice);
  const made = parse('<div class="notice" data-verdict="fail"><span></span><div><b></b><span></span></div><button class="button" type="button" data-dismiss>Close</button></div>');
  made.querySelector("b").textContent = error instanceof Refused ? `The server answered ${error.message}` : "The server could not be reached";
  made.querySelector("div > span").textContent = " Nothing was decided. What you filled in is kept; try again.";
  alarm.replaceChildren(made);
}

function formBody(pairs) {
  const body = new FormData();
  body.set("query", root.dataset.query);
  for (const [name, value] of pairs) body.append(name, value);
  return body;
}

// ---- The pane

const rowOf = (item) => document.querySelector(`#inbox-queue [data-item="${CSS.escape(item)}"]`);

function mark(item) {
  for (const row of document.querySelectorAll("#inbox-queue [data-row]")) {
    const on = row.dataset.item === item;
    row.toggleAttribute("aria-current", on);
    if (on) row.setAttribute("aria-current", "true");
    row.tabIndex = on ? 0 : -1;
  }
  rowOf(item)?.scrollIntoView({ block: "nearest" });
}

// On a phone the item stands under the list: what was asked for is brought before the eyes.
const narrow = matchMedia("(max-width: 800px)");
const bringUp = (pane) => { if (narrow.matches) pane.scrollIntoView({ block: "start" }); };

function show(pane, { focus = true } = {}) {
  const within = document.activeElement === document.body || paneNow().contains(document.activeElement) || document.activeElement?.closest("#inbox-queue");
  paneNow().replaceWith(pane);
  root.toggleAttribute("data-wide", pane.hasAttribute("data-wide"));
  window.htmx?.process(pane);
  pane.scrollTop = 0;
  if (pane.dataset.item) {
    history.replaceState(history.state, "", pane.dataset.href);
    mark(pane.dataset.item);
    bringUp(pane);
  } else history.replaceState(history.state, "", root.dataset.refresh);
  if (focus && within) pane.focus({ preventScroll: true });
}

function blank(words) {
  const pane = parse('<section class="pane stasis inbox-none" id="inbox-pane" aria-label="Selected item" tabindex="0"><p class="quiet" role="status"></p></section>');
  pane.querySelector("p").textContent = words;
  return pane;
}

// ---- The next one, ready before the key is up

let ready = null;
let fetching = null;

function keepReady(pane) {
  ready = pane;
  root.toggleAttribute("data-next-ready", Boolean(pane));
}

async function claimNext(passing) {
  const text = await send("/inbox/next/", formBody(passing.map((item) => ["passing", item])));
  return text ? parse(text) : null;
}

function prefetch() {
  const here = paneNow().dataset.item;
  if (!here || !paneNow().dataset.claim || ready || fetching) return;
  fetching = claimNext([here])
    .then(keepReady)
    .catch(() => {})
    .finally(() => { fetching = null; });
}

async function takeReady(passing) {
  if (fetching) await fetching;
  const pane = ready;
  keepReady(null);
  if (pane && !passing.includes(pane.dataset.item)) return pane;
  return claimNext(passing);
}

async function openNext(passing = []) {
  const pane = await takeReady(passing);
  show(pane ?? blank("Nothing more is free. What others hold comes back when its time is over."));
  prefetch();
  later(refresh, LIST_MS);
}

// ---- Deciding

// While an answer is on its way no bare key may decide about what has just come into view.
function busy(pane, on) {
  pane.toggleAttribute("data-deciding", on);
}

async function advance(old, url, body) {
  const early = ready;
  keepReady(null);
  if (early) show(early);
  const shown = paneNow();
  busy(shown, true);
  try {
    const told = await send(url, body);
    busy(shown, false);
    if (told) undoPlace.replaceChildren(parse(told));
    if (!early) await openNext([old.dataset.item]);
    else prefetch();
  } catch (error) {
    busy(shown, false);
    if (early) {
      keepReady(early);
      show(old);
    }
    tell(error);
  }
  later(refresh, LIST_MS);
}

function decide(form, button) {
  const pane = form.closest("#inbox-pane");
  if (document.querySelector("[data-deciding]")) return;
  clearTimeout(drafting);
  const body = new FormData(form, button);
  alarm.replaceChildren();
  advance(pane, form.action, body);
}

async function replacePane(form, button) {
  try {
    const text = await send(form.action, new FormData(form, button));
    show(parse(text));
    prefetch();
  } catch (error) {
    tell(error);
  }
  later(refresh, LIST_MS);
}

const handlers = {
  "data-inbox-decide": decide,
  "data-inbox-skip": (form) => advance(form.closest("#inbox-pane"), form.action, new FormData(form)),
  "data-inbox-next": () => openNext(paneNow().dataset.claim ? [paneNow().dataset.item] : []).catch(tell),
  "data-inbox-form": replacePane,
  "data-inbox-undo": (form, button) => {
    keepReady(null);
    replacePane(form, button).then(async () => {
      // What was being fetched lies behind what came back.
      await fetching;
      keepReady(null);
      undoPlace.replaceChildren();
    });
  },
};

// Before the page's own listener, which holds a plain form's keys until the next page comes.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const name = Object.keys(handlers).find((each) => form.hasAttribute(each));
  if (!name || !root) return;
  event.preventDefault();
  handlers[name](form, event.submitter ?? undefined);
}, { capture: true });

// Enter opens and claims what is looked at, or the next one.
document.addEventListener("verel:key", (event) => {
  const { key, repeat } = event.detail;
  if (!root || key !== "Enter" || document.activeElement?.closest("a, button, summary")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (repeat) return;
  const form = paneNow().querySelector("[data-inbox-claim]") ?? document.querySelector("[data-inbox-next]");
  form?.requestSubmit();
}, { capture: true });

// An opened field is ready to be typed into; Escape leaves it, and a second one closes it.
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.(".inbox-needs") && event.target.open) event.target.querySelector("[data-first], textarea").focus();
}, { capture: true });
document.addEventListener("verel:key", (event) => {
  if (event.detail.key === "Escape") for (const open of document.querySelectorAll(".inbox-needs[open]")) open.open = false;
});

// ---- Drafts: kept while one writes; the list does not move meanwhile

let drafting = 0;

function draftBody(pane) {
  const body = new FormData();
  for (const field of document.querySelectorAll("#inbox-pane textarea, #inbox-pane select, #inbox-pane input[type=radio]:checked")) {
    if (field.form?.id === "inbox-decide" && field.value && field.value !== field.dataset.starts) body.append(field.name, field.value);
  }
  pane.toggleAttribute("data-live-hold", [...body.keys()].length > 0);
  return body;
}

document.addEventListener("input", (event) => {
  const pane = event.target.closest("#inbox-pane");
  if (!pane || event.target.form?.id !== "inbox-decide") return;
  const body = draftBody(pane);
  clearTimeout(drafting);
  drafting = setTimeout(() => send(`/inbox/${pane.dataset.item}/draft/`, body).catch(tell), DRAFT_MS);
});

// ---- The list follows what is announced

const waits = new Map();
function later(act, ms) {
  clearTimeout(waits.get(act));
  waits.set(act, setTimeout(act, ms));
}

let refreshing = false;

async function refresh() {
  if (refreshing) return later(refresh, LIST_MS);
  refreshing = true;
  try {
    const answer = await fetch(root.dataset.refresh, { credentials: "same-origin" });
    if (answer.ok) adopt(new DOMParser().parseFromString(await answer.text(), "text/html"));
    await follow();
  } catch {
    // The next announcement, or the socket's return, brings it.
  } finally {
    refreshing = false;
  }
}

// What is open before the reader and left the list may have been settled elsewhere, or have moved.
async function follow() {
  const pane = paneNow();
  if (!pane.querySelector("#inbox-decide") || rowOf(pane.dataset.item) || document.querySelector("[data-deciding], [data-live-hold]")) return;
  const next = parse(await send(pane.dataset.pane));
  if (next.querySelector("#inbox-decide") || paneNow() !== pane || document.querySelector("[data-deciding]")) return;
  keepReady(null);
  show(next);
}

function adopt(page) {
  const focused = document.activeElement?.closest("#inbox-queue [data-row]")?.dataset.item;
  const marked = new Set([...document.querySelectorAll(".inbox-mark:checked")].map((box) => box.value));
  for (const id of ["inbox-head", "inbox-rail", "inbox-queue", "status-bar"]) {
    const here = document.getElementById(id);
    const next = page.getElementById(id);
    // A field that is in use is not pulled away.
    if (!here || !next || (here.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button, a"))) continue;
    here.replaceChildren(...next.childNodes);
  }
  const [count, told] = [document, page].map((each) => each.querySelector('.main-nav a[aria-current="page"]'));
  if (count && told) count.replaceChildren(...told.childNodes);
  document.title = page.title;
  for (const box of document.querySelectorAll(".inbox-mark")) box.checked = marked.has(box.value);
  const item = paneNow().dataset.item;
  if (item) mark(item);
  const row = focused && (rowOf(focused) ?? document.querySelector("#inbox-queue [data-row]"));
  if (row) row.focus({ preventScroll: true });
  else if (focused) paneNow().focus({ preventScroll: true });
}

// ---- Time

function countDown() {
  for (const el of document.querySelectorAll("[data-counts-down]")) {
    const [minutes, seconds] = el.textContent.split(":").map(Number);
    const left = Math.max(0, minutes * 60 + seconds - 1);
    if (Number.isFinite(left)) el.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  }
}

function beat() {
  const pane = paneNow();
  if (!pane.dataset.claim || document.hidden) return;
  const body = new FormData();
  body.set("claim", pane.dataset.claim);
  send(`/inbox/${pane.dataset.item}/heartbeat/`, body).catch(tell);
}

if (root) {
  document.addEventListener("verel:announce", () => later(refresh, LIST_MS));
  document.addEventListener("htmx:afterSettle", (event) => {
    const pane = event.target.closest?.("#inbox-pane") ?? paneNow();
    root.toggleAttribute("data-wide", pane.hasAttribute("data-wide"));
    if (event.target.closest?.("#inbox-pane")) bringUp(pane);
    prefetch();
  });
  setInterval(countDown, TICK_MS);
  setInterval(beat, BEAT_MS);
  prefetch();
}
