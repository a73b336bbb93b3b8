// A bar of links that scrolls sideways, on a narrow screen, begins at the link of this page.
for (const here of document.querySelectorAll(":is(.main-nav, .tabs) > [aria-current]")) {
  const bar = here.parentElement;
  const [inner, outer] = [here.getBoundingClientRect(), bar.getBoundingClientRect()];
  bar.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
}
