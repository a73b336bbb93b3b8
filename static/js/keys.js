// The page's one keyboard listener. A button, link or field names its key in data-key and prints
// it; pressing the key presses the button. "g r" is pressed one after the other. What no element
// claims goes out as a "verel:key" event, for rows.js and its like.
//
// Bare keys sleep while typing, while a dialog is open, and while a decision is on its way, so a
// held or a late key can never decide about something that was not looked at.
const SEQUENCE_MS = 1200;
const deciding = new Set();
// Elements print the reader's own keys. Scripts know the usual ones: this says which one a key that
// no element claims stands for, and "" of one that was given up.
const usual = JSON.parse(document.body.dataset.usualKeys || "{}");
let prefix = "";
let prefixUntil = 0;

const typing = (el) => el.closest?.("input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select, [contenteditable]");

const nameOf = (event) => {
  const mod = event.ctrlKey || event.metaKey;
  if (!mod) return event.key;
  return `Ctrl+${event.key.length === 1 ? event.key.toUpperCase() : event.key}`;
};

// An open drawer covers the page, so the keys under it are out of reach.
const scope = () => [...document.querySelectorAll("[aria-modal='true']")].at(-1) ?? document;

// What stands in a shut <details> has a place on the page and is not to be seen: of two answers
// that each have a field, only the open one's button may be pressed. A row of a rubric sends
// nothing, and so its key opens what it stands in.
const usable = (el) => !el.disabled && el.getAttribute("aria-disabled") !== "true" && el.getClientRects().length > 0 && (el.checkVisibility() || el.closest("[data-cycle]"));

const find = (key) => [...scope().querySelectorAll("[data-key]")].find((el) => el.dataset.key === key && usable(el));

const begins = (key) => [...scope().querySelectorAll("[data-key]")].some((el) => el.dataset.key.startsWith(`${key} `));

function press(el) {
  if (!el.checkVisibility()) el.closest("details:not([open])").open = true;
  if (el.matches("input:not([type=checkbox], [type=radio]), textarea, select")) {
    el.focus();
    el.select?.();
  } else {
    el.click();
  }
}

function mayPress(el, key, field) {
  if (!field) return true;
  if (key === "Ctrl+Enter") return el.form ? el.form === field.form : true;
  return key.startsWith("Ctrl+");
}

document.addEventListener("keydown", (event) => {
  if (event.getModifierState?.("AltGraph") || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (["Shift", "Control", "Meta", "Alt"].includes(event.key)) return;
  if (deciding.size || document.querySelector("dialog[open], [data-deciding]")) return;
  const field = typing(event.target);
  const key = nameOf(event);
  if (field && !key.startsWith("Ctrl+") && key !== "Escape") return;
  if (field && key === "Escape") return field.blur();

  const sequence = !field && performance.now() < prefixUntil ? `${prefix} ${key}` : "";
  prefixUntil = 0;
  const button = (sequence && find(sequence)) || find(key);
  if (button && !event.repeat && mayPress(button, key, field)) {
    event.preventDefault();
    press(button);
  } else if (!button && !field && !event.repeat && begins(key)) {
    prefix = key;
    prefixUntil = performance.now() + SEQUENCE_MS;
  } else if (!button && !field && !event.ctrlKey && !event.metaKey) {
    const meant = Object.hasOwn(usual, key) ? usual[key] : key;
    const told = new CustomEvent("verel:key", { cancelable: true, detail: { key: meant, repeat: event.repeat } });
    if (!document.dispatchEvent(told)) event.preventDefault();
  }
});

// [data-deciding] stands on what a script decides about, while that is on its way.
// [data-decides] marks a form or button whose press cannot be taken back by looking away.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.closest("[data-decides]")) deciding.add(event.detail.xhr);
});
document.addEventListener("htmx:afterRequest", (event) => deciding.delete(event.detail.xhr));
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-decides]") || form.matches("[hx-post]")) return;
  if (deciding.has(form)) event.preventDefault();
  else if (!event.defaultPrevented) deciding.add(form);
});
window.addEventListener("pageshow", () => deciding.clear());

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  const dialog = opener && document.getElementById(opener.dataset.open);
  // A link that opens a dialog leads, without scripts, to the same on a page.
  if (!dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  dialog.showModal();
});
