"""What axe finds on a page as it stands, in both themes, from one load of it."""

from typing import Any, Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# A theme changes colours and nothing else: these are the rules that look at them.
OF_COLOURS: Final = ["color-contrast", "link-in-text-block"]


def find_faults(page: Page, *, of: tuple[str, ...] = ()) -> list[str]:
    """Each with its theme, its rule and where it was found; with `of`, only of these impacts."""
    themes = {
        "light": {"type": "tag", "values": TAGS},
        "dark": {"type": "rule", "values": OF_COLOURS},
    }
    faults = []
    before = page.evaluate("document.documentElement.dataset.theme ?? null")
    for theme, rules in themes.items():
        _set_theme(page, theme)
        options = {"runOnly": rules, "resultTypes": ["violations"]}
        found: list[Any] = Axe().run(page, options=options).response["violations"]
        faults += [
            f"{theme}: {one['id']}: {node['html'][:160]}"
            for one in found
            for node in one["nodes"][:3]
            if not of or one["impact"] in of
        ]
    _set_theme(page, before)
    return faults


def _set_theme(page: Page, theme: str | None) -> None:
    """As the page has it from whoever reads it; None follows the system."""
    page.evaluate(
        "theme => theme === null ? delete document.documentElement.dataset.theme"
        " : document.documentElement.dataset.theme = theme",
        theme,
    )
