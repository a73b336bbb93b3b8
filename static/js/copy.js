// data-copy="text" copies that text, data-copy-link the address of the page or of the element's
// href, data-copy-from="#id" the text of an element. The button says so for two seconds.
const SAID_MS = 2000;

function textOf(el) {
  if (el.dataset.copyFrom) return document.querySelector(el.dataset.copyFrom)?.innerText ?? "";
  if ("copyLink" in el.dataset) return new URL(el.dataset.copyLink || location.href, location.href).href;
  return el.dataset.copy;
}

function tell(el, word) {
  const note = document.createElement("span");
  note.className = "copied fine";
  note.setAttribute("role", "status");
  note.textContent = word;
  el.append(note);
  setTimeout(() => note.remove(), SAID_MS);
}

document.addEventListener("click", async (event) => {
  const el = event.target.closest("[data-copy], [data-copy-link], [data-copy-from]");
  if (!el) return;
  event.preventDefault();
  try {
    await navigator.clipboard.writeText(textOf(el));
    tell(el, "Copied");
  } catch {
    tell(el, "Not allowed by the browser");
  }
});
