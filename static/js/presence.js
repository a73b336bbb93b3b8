// Who else is here: <span data-presence="/ws/presence/…/" hidden>. The socket sends names, and
// nothing that was stored; while it is away nobody is shown.
//
// Whoever decides at speed passes through items faster than they are looked at: a place is only
// told of once it has been on the page for a moment.
const SETTLE_MS = 700;
const FIRST_MS = 1000;
const LAST_MS = 30_000;
const MOST = 2;
const places = new Map();

function tell(names) {
  if (!names.length) return "";
  const shown = names.slice(0, MOST);
  const more = names.length - shown.length;
  const all = more ? [...shown, `${more} other${more > 1 ? "s" : ""}`] : shown;
  const last = all.pop();
  return `${all.length ? `${all.join(", ")} and ${last}` : last} ${names.length > 1 ? "are" : "is"} reviewing`;
}

function show(el, names) {
  const words = tell(names);
  el.hidden = !words;
  if (el.textContent !== words) el.textContent = words;
}

function join(el) {
  const place = { tries: 0, socket: null, timer: 0 };
  places.set(el, place);
  const connect = () => {
    const address = new URL(el.dataset.presence, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    place.socket = new WebSocket(address);
    place.socket.addEventListener("message", (event) => {
      place.tries = 0;
      show(el, JSON.parse(event.data).here);
    });
    place.socket.addEventListener("close", () => {
      if (places.get(el) !== place) return;
      show(el, []);
      place.timer = setTimeout(connect, Math.min(LAST_MS, FIRST_MS * 2 ** place.tries++));
    });
  };
  place.timer = setTimeout(connect, SETTLE_MS);
}

function leave(el, place) {
  places.delete(el);
  clearTimeout(place.timer);
  place.socket?.close();
}

function scan() {
  for (const [el, place] of places) if (!el.isConnected) leave(el, place);
  for (const el of document.querySelectorAll("[data-presence]")) if (!places.has(el)) join(el);
}

scan();
new MutationObserver(scan).observe(document.body, { childList: true, subtree: true });
window.addEventListener("pagehide", () => { for (const [el, place] of places) leave(el, place); });
window.addEventListener("pageshow", (event) => { if (event.persisted) scan(); });
