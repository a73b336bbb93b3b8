// A field that takes a key by its being pressed. [data-two] takes two, one after the other ("g r").
// Tab leaves it, Escape too; Backspace empties it. Without this module the name is typed.
const SEQUENCE_MS = 1200;
const LEAVES = ["Tab", "Enter", "Escape", "Shift", "Control", "Meta", "Alt", "AltGraph", "CapsLock", "Dead"];
let began = 0;

function nameOf(event) {
  if (!event.ctrlKey && !event.metaKey) return event.key;
  return `Ctrl+${event.key.toUpperCase()}`;
}

document.addEventListener("keydown", (event) => {
  const field = event.target.closest?.("[data-key-field]");
  if (!field || LEAVES.includes(event.key) || event.isComposing) return;
  if (event.key === "Backspace" || event.key === "Delete") {
    event.preventDefault();
    field.value = "";
    return;
  }
  const written = event.altKey && !event.getModifierState("AltGraph");
  if (event.key.length !== 1 || event.key === " " || written || event.repeat) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const second = field.hasAttribute("data-two") && field.value.length === 1 && performance.now() < began + SEQUENCE_MS;
  field.value = second ? `${field.value} ${event.key}` : nameOf(event);
  began = performance.now();
}, { capture: true });
