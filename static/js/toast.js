// The time in which a decision can be undone. data-undo-for="10" counts from now, so a wrong clock
// does no harm; data-undo-until="ISO time" counts to that time. The seconds print in
// [data-undo-seconds]; when they are over, the element goes.
const deadlines = new WeakMap();

function deadlineOf(el) {
  if (!deadlines.has(el)) {
    const ms = el.dataset.undoUntil ? Date.parse(el.dataset.undoUntil) - Date.now() : Number(el.dataset.undoFor) * 1000;
    deadlines.set(el, performance.now() + (Number.isFinite(ms) ? ms : 0));
  }
  return deadlines.get(el);
}

function tick() {
  for (const el of document.querySelectorAll("[data-undo-for], [data-undo-until]")) {
    const left = Math.ceil((deadlineOf(el) - performance.now()) / 1000);
    if (left <= 0) {
      el.remove();
      continue;
    }
    const text = el.querySelector("[data-undo-seconds]");
    if (text && text.textContent !== String(left)) text.textContent = String(left);
  }
}

tick();
setInterval(tick, 250);
