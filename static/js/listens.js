// Stands last: once <html data-listens> is there, every behaviour of the page hears keys and clicks.
// A test, or anybody's own script, waits for it before it presses anything.
document.addEventListener("DOMContentLoaded", () => { document.documentElement.dataset.listens = ""; });
