// Reviewing a promotion on its own page:
//   an answer that takes a reason asks for it where it is typed, and Enter sends it
//   an opened answer's first field is ready to be typed into
//   what moves while one reads is shown by itself, and said; what was typed stays
const LIST_MS = 250;
const review = document.querySelector("[data-review]");
const bar = () => document.getElementById("decision-bar");
let asked = null;
let waiting = 0;
let fetching = false;

const buttonOf = (answer) => bar()?.querySelector(`button[data-asks][value="${CSS.escape(answer)}"]`);

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-asks]");
  const field = button && document.getElementById(button.dataset.asks);
  if (!field || field.value.trim()) return;
  event.preventDefault();
  asked = button.value;
  field.placeholder = `Why? Enter: ${button.firstChild.textContent.trim().toLowerCase()}`;
  field.focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || event.repeat || event.target.id !== "decide-reason") return;
  const button = asked && buttonOf(asked);
  if (!button || !event.target.value.trim()) return;
  event.preventDefault();
  button.form.requestSubmit(button);
});

document.addEventListener("toggle", (event) => {
  if (event.target.matches?.(".answer-more") && event.target.open) event.target.querySelector("[data-first]")?.focus();
}, { capture: true });
document.addEventListener("verel:key", (event) => {
  if (event.detail.key === "Escape") for (const open of document.querySelectorAll(".answer-more[open]")) open.open = false;
});

// ---- What moves meanwhile

const fields = () => [...document.querySelectorAll("[form='decide-form']:is(input, textarea, select)")];
const starts = (field) => (field.matches("select") ? [...field.options].find((one) => one.defaultSelected)?.value ?? field.options[0]?.value : field.defaultValue);

function adopt(page) {
  const next = page.querySelector("[data-review]");
  if (!next || next.dataset.pins === review.dataset.pins) return;
  const typed = new Map(fields().filter((field) => field.value !== starts(field)).map((field) => [field.id, field.value]));
  const opened = [...document.querySelectorAll(".answer-more[open]")].map((one) => one.id);
  const focused = document.activeElement?.id;
  for (const name of ["data-pins", "data-seen"]) review.setAttribute(name, next.getAttribute(name));
  review.replaceChildren(...next.childNodes);
  bar().replaceChildren(...page.getElementById("decision-bar").childNodes);
  for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
  for (const field of fields()) if (typed.has(field.id)) field.value = typed.get(field.id);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  else rest();
  window.htmx?.process(review);
  review.querySelector("[data-moved]")?.scrollIntoView({ block: "nearest" });
}

async function follow() {
  if (fetching) return later();
  fetching = true;
  try {
    const here = new URL(location.href);
    here.searchParams.set("seen", review.dataset.seen);
    const answer = await fetch(here, { credentials: "same-origin" });
    if (answer.ok) adopt(new DOMParser().parseFromString(await answer.text(), "text/html"));
    review.dataset.followed = "";
  } catch {
    // The next announcement, or the socket's return, brings it.
  } finally {
    fetching = false;
  }
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(follow, LIST_MS);
}

// The arrows and the space bar scroll what is reviewed.
function rest() {
  if (document.activeElement === document.body) document.querySelector(".promotion")?.focus({ preventScroll: true });
}

if (review) {
  rest();
  review.addEventListener("verel:announce", later);
}
