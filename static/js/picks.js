// Rows picked by their boxes, in a form [data-picks]. x picks the chosen row of the list, Shift and
// a click pick everything between two boxes, [data-pick-all] picks the page, [data-pick-none] nothing.
// [data-picked] shows while something is picked, and [data-picked-count] prints how much.
const form = document.querySelector("[data-picks]");

if (form) {
  const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]:not(:disabled)")];
  const all = form.querySelector("[data-pick-all]");
  let last;

  const tell = () => {
    const told = boxes();
    const picked = told.filter((box) => box.checked).length;
    for (const box of told) box.closest("tr").toggleAttribute("data-picked", box.checked);
    for (const el of document.querySelectorAll("[data-picked-count]")) el.textContent = String(picked);
    for (const el of document.querySelectorAll("[data-picked]:not(tr)")) el.hidden = picked === 0;
    if (all) {
      all.hidden = told.length === 0;
      all.checked = picked > 0 && picked === told.length;
      all.indeterminate = picked > 0 && picked < told.length;
    }
  };

  const pick = (box, checked) => {
    box.checked = checked;
    last = box;
    tell();
  };

  form.addEventListener("click", (event) => {
    const box = event.target;
    if (!box.matches?.("tbody input[type=checkbox]")) return;
    const told = boxes();
    const [from, to] = [told.indexOf(last), told.indexOf(box)].sort((a, b) => a - b);
    if (event.shiftKey && from >= 0) for (const one of told.slice(from, to + 1)) one.checked = box.checked;
    last = box;
    tell();
  });
  all?.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    tell();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-pick-none]")) return;
    for (const box of boxes()) box.checked = false;
    tell();
  });
  document.addEventListener("verel:key", (event) => {
    if (event.detail.key !== "x" || event.detail.repeat) return;
    const row = document.activeElement?.closest("[data-row]") ?? form.querySelector("[data-row][aria-current]");
    const box = row?.querySelector("input[type=checkbox]:not(:disabled)");
    if (!box) return;
    event.preventDefault();
    pick(box, !box.checked);
  });
  // A page that comes back from the browser's memory has its boxes as they were left.
  window.addEventListener("pageshow", tell);
  tell();
}
