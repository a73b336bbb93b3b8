// Judging two continuations. Everything works without this module; it adds:
//   [data-cycle]   a rubric row: pressing its key moves on through its radio buttons
//   [data-judge]   the judgement: Submit stays shut until a side is chosen, and says why
//   [data-draft]   what is filled in outlives a change of reading mode, in this tab alone
const form = document.querySelector("[data-judge]");
const submit = form?.querySelector("[data-judge-submit]");
const why = form?.querySelector("[data-judge-why]");

function cycle(row) {
  const radios = [...row.querySelectorAll("input[type=radio]")];
  const at = radios.findIndex((radio) => radio.checked);
  const next = radios[(at + 1) % radios.length];
  next.checked = true;
  next.dispatchEvent(new Event("change", { bubbles: true }));
}

function openOrShut() {
  const chosen = new FormData(form).has("choice");
  submit.disabled = !chosen;
  why.hidden = chosen;
}

const keyOf = (id) => `verel-draft-${id}`;

function keep() {
  const kept = [...new FormData(form)].filter(([name]) => name === "choice" || name === "rationale" || name.startsWith("score-"));
  sessionStorage.setItem(keyOf(form.dataset.draft), JSON.stringify(kept));
}

function restore() {
  if (form.dataset.kept !== undefined) return;
  const kept = JSON.parse(sessionStorage.getItem(keyOf(form.dataset.draft)) ?? "[]");
  for (const [name, value] of kept) {
    for (const field of form.elements) {
      if (field.name !== name) continue;
      if (field.type === "radio") field.checked = field.value === value;
      else field.value = value;
    }
  }
}

document.addEventListener("click", (event) => {
  const row = event.target.closest("[data-cycle] [data-key]")?.closest("[data-cycle]");
  if (row) cycle(row);
});

if (form) {
  restore();
  openOrShut();
  const changed = () => {
    openOrShut();
    keep();
  };
  // Fields in the rubric belong to the form by their form attribute, and do not bubble through it.
  for (const type of ["input", "change"]) {
    document.addEventListener(type, (event) => event.target.form === form && changed());
  }
  form.addEventListener("submit", () => sessionStorage.removeItem(keyOf(form.dataset.draft)));
}
