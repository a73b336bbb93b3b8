// Times are told in the reader's zone. The browser's is a cookie, so that the server writes them
// right the first time; what a person has chosen in their account comes before it.
const YEAR_SECONDS = 31_536_000;
const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
const kept = /(?:^|; )verel_zone=([^;]*)/.exec(document.cookie)?.[1];

if (zone && kept !== zone) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `verel_zone=${zone}; path=/; max-age=${YEAR_SECONDS}; samesite=lax${secure}`;
}
