// The page's ear. <div data-live="/ws/runs/…/"> opens a websocket, whose messages only announce
// that something was stored ({branch, seq, …}); each becomes a "verel:announce" event on that
// element. Who listens fetches over HTTP, after its own cursor, so a lost message loses nothing.
// After every reconnection, and while the socket cannot be opened, an empty announcement goes out.
//
// While [data-live-hold] is on the page (a draft is being written) announcements wait.
const FIRST_MS = 500;
const LAST_MS = 30_000;
const ears = new Map();
const held = new Map();

const WORDS = { live: "Live", behind: "Reconnecting", paused: "Paused while you write", off: "" };

function show(state) {
  for (const el of document.querySelectorAll("[data-live-state]")) {
    // Unchanged text is left alone: writing it would wake the observer below for ever.
    if (el.dataset.live === state && el.textContent === WORDS[state]) continue;
    el.dataset.live = state;
    el.textContent = WORDS[state];
  }
}

function showAll() {
  const states = [...ears.values()].map((ear) => ear.state);
  if (!states.length) show("off");
  else if (states.includes("behind")) show("behind");
  else show(document.querySelector("[data-live-hold]") ? "paused" : "live");
}

function announce(el, detail) {
  if (document.querySelector("[data-live-hold]")) {
    const waiting = held.get(el) ?? new Map();
    held.set(el, waiting.set(detail.branch ?? "", detail));
  } else {
    el.dispatchEvent(new CustomEvent("verel:announce", { bubbles: true, detail }));
  }
}

function release() {
  if (document.querySelector("[data-live-hold]")) return;
  const all = [...held];
  held.clear();
  for (const [el, waiting] of all) for (const detail of waiting.values()) if (el.isConnected) announce(el, detail);
}

function open(el) {
  const ear = { state: "behind", tries: 0, socket: null, timer: 0, opened: false };
  ears.set(el, ear);
  const connect = () => {
    const address = new URL(el.dataset.live, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    ear.socket = new WebSocket(address);
    ear.socket.addEventListener("open", () => {
      ear.state = "live";
      if (ear.opened) announce(el, { branch: null, seq: null });
      ear.opened = true;
      showAll();
    });
    ear.socket.addEventListener("message", (event) => {
      // Not at "open": a server whose database is away opens the socket to say so, and closes it.
      ear.tries = 0;
      announce(el, JSON.parse(event.data));
    });
    ear.socket.addEventListener("close", () => {
      if (ears.get(el) !== ear) return;
      ear.state = "behind";
      if (ear.tries) announce(el, { branch: null, seq: null });
      const wait = Math.min(LAST_MS, FIRST_MS * 2 ** ear.tries++);
      ear.timer = setTimeout(connect, wait * (0.5 + Math.random() / 2));
      showAll();
    });
  };
  connect();
}

function close(el, ear) {
  ears.delete(el);
  held.delete(el);
  clearTimeout(ear.timer);
  ear.socket?.close();
}

function scan() {
  for (const [el, ear] of ears) if (!el.isConnected) close(el, ear);
  for (const el of document.querySelectorAll("[data-live]:not([data-live-state], .live-state)")) if (!ears.has(el)) open(el);
  release();
  showAll();
}

scan();
// A swap that leaves nothing behind settles nothing, so the page itself is watched.
new MutationObserver(scan).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-live-hold"] });
window.addEventListener("pagehide", () => { for (const [el, ear] of ears) close(el, ear); });
window.addEventListener("pageshow", (event) => { if (event.persisted) scan(); });
