// The fork drawer: opened into #fork-drawer by the link that prints "f". It takes the focus and
// the keys while it is open, gives the focus back, and keeps a draft until the page is left.
const place = document.getElementById("fork-drawer");
const COVERED = ".app-bar, main, .status-bar";
const FIELDS = ["override", "name", "reason"];
const drafts = new Map();
let opener = null;

const formOf = () => place?.querySelector("#fork-form");

function keep() {
  const form = formOf();
  if (form) drafts.set(form.action, Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value])));
}

function restore(form) {
  const draft = drafts.get(form.action);
  if (!draft) return;
  for (const name of FIELDS) form.elements[name].value = form.elements[name].value || draft[name];
}

function cover(on) {
  for (const el of document.querySelectorAll(COVERED)) el.inert = on;
}

function open() {
  const form = formOf();
  if (!form) return;
  opener ??= document.querySelector(".event-row[aria-selected=true]") ?? document.activeElement;
  cover(true);
  restore(form);
  const field = form.elements.override;
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

function close() {
  keep();
  place.replaceChildren();
  cover(false);
  const row = opener?.isConnected ? opener : document.querySelector(".event-row[aria-selected=true]");
  opener = null;
  row?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("htmx:afterSettle", { detail: {} }));
}

if (place) {
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === place) open();
  });
  // The preview hears from here on: what was typed or restored before is told to it now.
  document.addEventListener("htmx:afterSettle", (event) => {
    const field = event.detail.target === place && formOf()?.elements.override;
    if (field?.value) field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  place.addEventListener("click", (event) => {
    if (!event.target.closest("[data-drawer-close]")) return;
    event.preventDefault();
    close();
  });
  place.addEventListener("input", keep);
  // Before every other listener: the rows are covered, and do not move under the drawer.
  document.addEventListener("verel:key", (event) => {
    if (formOf()) event.stopImmediatePropagation();
  }, { capture: true });
}
