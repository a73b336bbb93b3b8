// Roving selection in a long list, without one htmx attribute per row.
//
//   <div data-rows data-detail-target="#event-detail">
//     <div data-row data-detail="/…/" [data-bad] [data-forks] [aria-expanded]>… <a data-row-link href="/…/">
//
// j k and the arrows move, e finds the next error, [ and ] the forks, h and l fold, Enter follows
// the row's link. Choosing a row loads its detail and puts its link, or its data-address, into the
// address bar. With data-links-open a click on a row's link follows it, as Enter does.
const SETTLE_MS = 90;
let waiting;
let loading;

const lists = () => document.querySelectorAll("[data-rows]");
const current = () => document.activeElement?.closest("[data-rows]") ?? lists()[0];
const rowsOf = (list) => [...list.querySelectorAll("[data-row]")];
const chosen = (row) => row.getAttribute("aria-selected") === "true" || row.getAttribute("aria-current") === "true";
const linkOf = (row) => row.querySelector("a[data-row-link]");

function load(list, row) {
  const target = list.dataset.detailTarget;
  if (!target || !row.dataset.detail || !document.querySelector(target)) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    loading = row;
    // What fails is told by htmx's own events; the promise tells it once more, to nobody.
    window.htmx.ajax("GET", row.dataset.detail, { source: row, target, swap: "outerHTML" }).catch(() => {});
    const address = row.dataset.address ?? linkOf(row)?.href;
    if (address) history.replaceState(history.state, "", address);
  }, SETTLE_MS);
}

// The detail of a row that was left meanwhile comes too late. It is dropped here and not aborted
// on its way: to htmx an aborted request is an error.
document.addEventListener("htmx:beforeSwap", (event) => {
  const row = event.detail.requestConfig?.elt;
  if (row !== loading && row?.matches?.("[data-row][data-detail]")) event.detail.shouldSwap = false;
});

function choose(list, row) {
  if (!row) return;
  for (const other of rowsOf(list)) {
    if (other.hasAttribute("aria-current")) other.removeAttribute("aria-current");
    else other.setAttribute("aria-selected", String(other === row));
    other.tabIndex = other === row ? 0 : -1;
  }
  if (row.getAttribute("role") !== "treeitem" && row.getAttribute("role") !== "option") {
    row.removeAttribute("aria-selected");
    row.setAttribute("aria-current", "true");
  }
  row.scrollIntoView({ block: "nearest" });
  row.focus({ preventScroll: true });
  load(list, row);
}

// On a narrow screen the detail stands under the list, out of sight: a row that was tapped leads there.
function showDetail(list) {
  const place = document.querySelector(list.dataset.detailTarget);
  if (!place || place.getBoundingClientRect().top < innerHeight) return;
  document.addEventListener("htmx:afterSettle", () => document.querySelector(list.dataset.detailTarget)?.scrollIntoView({ block: "start" }), { once: true });
}

function seek(list, step, wanted) {
  const rows = rowsOf(list);
  const at = rows.findIndex(chosen);
  // An event without a row of its own may be shown: then the way back begins at the last row.
  for (let i = at < 0 && step < 0 ? rows.length - 1 : at + step; i >= 0 && i < rows.length; i += step) {
    if (wanted(rows[i])) return choose(list, rows[i]);
  }
}

function fold(row, open) {
  if (row?.getAttribute("aria-expanded") === String(!open)) row.querySelector("[data-fold]")?.click();
}

const any = () => true;
const moves = {
  j: (list) => seek(list, 1, any),
  ArrowDown: (list) => seek(list, 1, any),
  k: (list) => seek(list, -1, any),
  ArrowUp: (list) => seek(list, -1, any),
  e: (list) => seek(list, 1, (row) => row.hasAttribute("data-bad")),
  "]": (list) => seek(list, 1, (row) => row.hasAttribute("data-forks")),
  "[": (list) => seek(list, -1, (row) => row.hasAttribute("data-forks")),
  G: (list) => choose(list, rowsOf(list).at(-1)),
  l: (list) => fold(rowsOf(list).find(chosen), true),
  h: (list) => fold(rowsOf(list).find(chosen), false),
  Enter: (list) => {
    const row = rowsOf(list).find(chosen);
    if (row) linkOf(row)?.click();
  },
};
const HELD = new Set(["j", "k", "ArrowDown", "ArrowUp"]);

document.addEventListener("verel:key", (event) => {
  const { key, repeat } = event.detail;
  const list = current();
  if (!list || !Object.hasOwn(moves, key) || (repeat && !HELD.has(key))) return;
  if (key.startsWith("Arrow") && !document.activeElement?.closest("[data-row]")) return;
  if (key === "Enter" && document.activeElement?.closest("a, button, summary")) return;
  event.preventDefault();
  moves[key](list);
});

document.addEventListener("click", (event) => {
  const row = event.target.closest("[data-row]");
  const list = row?.closest("[data-rows]");
  if (!list || event.target.closest("[data-fold], button, input, label")) return;
  const link = event.target.closest("a");
  if (link && !link.matches("[data-row-link]")) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  if (link && (list.hasAttribute("data-links-open") || !(list.dataset.detailTarget && row.dataset.detail))) return;
  if (link && event.isTrusted) event.preventDefault();
  if (!event.isTrusted) return;
  if (list.dataset.detailTarget) showDetail(list);
  choose(list, row);
});

// Other scripts choose a row by telling it so.
document.addEventListener("verel:choose", (event) => {
  const row = event.target.closest("[data-row]");
  const list = row?.closest("[data-rows]");
  if (list) choose(list, row);
});
