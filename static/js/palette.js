// Search or jump. The lines come from the server (hx-get on the field); this chooses among them
// while the field keeps the focus:
//   <dialog data-jump> <input role=combobox …> <div id="jump-results" role="listbox"> [role=option]
//
// Enter follows the chosen line. Pressed while lines are on their way it waits for them, so that
// what is typed fast is never answered by what was there before.
const dialog = document.querySelector("dialog[data-jump]");
const field = dialog?.querySelector("[role=combobox]");
const options = () => [...dialog.querySelectorAll("[role=option]")];
let coming = 0;
let typed = false;
let going = false;
let latest = null;

function choose(option) {
  for (const other of options()) other.setAttribute("aria-selected", String(other === option));
  if (!option) return field.removeAttribute("aria-activedescendant");
  field.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

const chosen = () => options().find((option) => option.getAttribute("aria-selected") === "true");

function step(by) {
  const all = options();
  if (all.length) choose(all[(all.indexOf(chosen()) + by + all.length) % all.length]);
}

function go() {
  going = false;
  const option = chosen();
  if (!option) return;
  // A line that stays on the page (the theme, the keys) must find the page without the dialog.
  dialog.close();
  option.click();
}

const steps = { ArrowDown: 1, ArrowUp: -1 };

function listen() {
  dialog.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") dialog.close();
    else if (Object.hasOwn(steps, event.key)) step(steps[event.key]);
    else if (event.key === "Enter" && event.target === field) {
      if (event.repeat) return event.preventDefault();
      if (coming || typed) going = true;
      else go();
    } else return;
    event.preventDefault();
  });
  dialog.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", () => { typed = true; });
  dialog.addEventListener("close", () => {
    field.value = "";
    going = typed = false;
  });
  dialog.addEventListener("click", (event) => {
    // A click on the dialog itself is one beside its content.
    if (event.target === dialog || event.target.closest("[role=option]")) dialog.close();
  });
  dialog.addEventListener("htmx:beforeRequest", (event) => {
    coming += 1;
    typed = false;
    latest = event.detail.xhr;
  });
  dialog.addEventListener("htmx:afterRequest", () => { coming -= 1; });
  dialog.addEventListener("htmx:afterSettle", (event) => {
    for (const [at, option] of options().entries()) option.id = `jump-${at}`;
    choose(options()[0]);
    // The lines of an earlier question may settle when the next one is on its way.
    if (going && !typed && event.detail.xhr === latest) go();
  });
}

if (dialog) listen();
