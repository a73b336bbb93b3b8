// Says what became of a request that failed. A refusal (409, 422 and their like) comes as a notice
// of the server's and floats over the page, so that a draft in the target is kept. Anything else
// is told in one sentence.
const place = document.getElementById("alarm");
const REFUSAL = /^\s*<div class="notice refusal" data-refusal=/;

function say(title, text) {
  const notice = document.createElement("div");
  notice.className = "notice";
  notice.dataset.verdict = "fail";
  const gap = document.createElement("span");
  const body = document.createElement("div");
  const head = document.createElement("b");
  head.textContent = title;
  body.append(head, text);
  const close = document.createElement("button");
  close.className = "button";
  close.type = "button";
  close.dataset.dismiss = "";
  close.textContent = "Close";
  notice.append(gap, body, close);
  place.replaceChildren(notice);
}

if (place) {
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!REFUSAL.test(event.detail.xhr.responseText)) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    event.detail.target = place;
    event.detail.swapOverride = "innerHTML";
  });
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 401 || status === 403) say("You are not allowed to do this any more", "Nothing was changed. Sign in again, or ask a project admin.");
    else say(`The server answered ${status}`, "Nothing on this page was changed. What you typed is kept; try again.");
  });
  document.addEventListener("htmx:sendError", () => say("The server could not be reached", "Nothing on this page was changed. What you typed is kept; try again."));
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) event.target.closest(".notice").remove();
  });
}
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-back]") && history.length > 1) {
    event.preventDefault();
    history.back();
  }
});
