"""A grader of rendered pages, in the trust domain of its runner: it measures, it does not judge.

What it can see is what it says in `capabilities`: elements that stick out of the viewport or hide
what they hold, and text whose contrast with its background is below WCAG 2.2's 4.5 to 1
(relative luminance after https://www.w3.org/TR/WCAG22/#dfn-relative-luminance).
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone
from playwright.sync_api import Page

from verdicts.receipts import sign_receipt
from verdicts.report_form import read_report

PHONE: Final = {"width": 375, "height": 800}
LEAST_CONTRAST: Final = 4.5

MEASURE: Final = """
() => {
  const name = (element) => element.id ? `#${element.id}` : element.tagName.toLowerCase();
  const channel = (value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let node = element; node; node = node.parentElement) {
      const colour = rgb(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const scrolls = (element) => {
    for (let node = element.parentElement; node; node = node.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(node).overflowX)) return true;
    }
    return false;
  };
  const found = { overflow: [], contrast: [] };
  for (const element of document.body.querySelectorAll("[id]")) {
    const box = element.getBoundingClientRect();
    if (box.right > innerWidth + 1 && !scrolls(element)) {
      found.overflow.push({ at: name(element), over: Math.round(box.right - innerWidth) });
    }
    if (!element.childElementCount && element.textContent.trim()) {
      const [a, b] = [rgb(getComputedStyle(element).color), ground(element)].map(luminance);
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < LEAST) found.contrast.push({ at: name(element), ratio: ratio.toFixed(2) });
    }
  }
  return found;
}
"""


@dataclass(frozen=True)
class DomGrader:
    """`api` holds a key that may report and nothing else; `private_key` never leaves this object."""

    api: httpx.Client
    private_key: Ed25519PrivateKey
    key_id: str
    suite: str

    def grade(self, page: Page, *, branch: str, html: str, files: list[str]) -> dict[str, Any]:
        """Renders what the agent wrote, measures it, and files a signed report on the head."""
        gate = self.api.get(f"branches/{branch}/gate").raise_for_status().json()
        issues = self._measure(page, html)
        body: dict[str, Any] = {
            "grader": "dom",
            "summary": f"{len(issues)} found at {PHONE['width']} px",
            "head_digest": gate["head_digest"],
            "capabilities": ["overflow", "contrast"],
            "issues": issues,
        }
        read = read_report(body)
        body["receipt"] = sign_receipt(
            private_key=self.private_key,
            key_id=self.key_id,
            branch_id=UUID(branch),
            head_digest=read.head_digest,
            grader=read.grader,
            nonce=gate["nonces"]["dom"],
            verdict=read.verdict,
            errored=read.errored,
            issues=[issue.facts for issue in read.issues],
            issued_at=timezone.now(),
            suite_digest=self.suite,
            coverage=files,
        )
        filed = self.api.post(f"branches/{branch}/reports", json=body).raise_for_status()
        report: dict[str, Any] = filed.json()
        return report

    def _measure(self, page: Page, html: str) -> list[dict[str, Any]]:
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        page.set_content(html)
        found = page.evaluate(MEASURE.replace("LEAST", str(LEAST_CONTRAST)))
        over = [
            {
                "kind": "overflow",
                "severity": "error",
                "source": "dom",
                "message": f"{row['at']} sticks out by {row['over']} px",
                "locator": row["at"],
            }
            for row in found["overflow"]
        ]
        faint = [
            {
                "kind": "contrast",
                "severity": "error",
                "source": "dom",
                "message": f"{row['at']} has a contrast of {row['ratio']}, below {LEAST_CONTRAST}",
                "locator": row["at"],
            }
            for row in found["contrast"]
        ]
        return [*over, *faint]
