// Light, dark, or whatever the system says. The choice is a cookie, so that the server writes it
// into the first byte of the page and nothing flashes.
const YEAR_SECONDS = 31_536_000;
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

const kept = /(?:^|; )verel_theme=(light|dark)/.exec(document.cookie)?.[1];
if (kept) root.dataset.theme = kept;

const theme = () => root.dataset.theme ?? (system.matches ? "dark" : "light");

function paint() {
  const other = theme() === "dark" ? "light" : "dark";
  for (const icon of document.querySelectorAll("[data-theme-icon]")) icon.hidden = icon.dataset.themeIcon !== other;
  for (const name of document.querySelectorAll("[data-theme-name]")) name.textContent = other === "dark" ? "Dark theme" : "Light theme";
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-switch]")) return;
  root.dataset.theme = theme() === "dark" ? "light" : "dark";
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `verel_theme=${root.dataset.theme}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${secure}`;
  paint();
});
system.addEventListener("change", paint);
document.addEventListener("htmx:afterSettle", paint);
paint();
