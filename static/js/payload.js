// In a .payload: [data-payload-tab="text|json"] shows the [data-payload-body] of that name, and
// [data-payload-wrap] turns line wrapping on and off.
document.addEventListener("click", (event) => {
  const payload = event.target.closest(".payload");
  const tab = event.target.closest("[data-payload-tab]");
  const wrap = event.target.closest("[data-payload-wrap]");
  if (!payload) return;
  if (tab) {
    for (const other of payload.querySelectorAll("[data-payload-tab]")) other.setAttribute("aria-pressed", String(other === tab));
    for (const body of payload.querySelectorAll("[data-payload-body]")) body.hidden = body.dataset.payloadBody !== tab.dataset.payloadTab;
  }
  if (wrap) {
    const on = wrap.getAttribute("aria-pressed") !== "true";
    wrap.setAttribute("aria-pressed", String(on));
    payload.toggleAttribute("data-nowrap", !on);
  }
});
