"""The component sheet: every component and state once, from fixed samples."""

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from verel_site.kit import charts
from verel_site.kit.htmx import render_page

HOSTILE: Final = (
    ("Script", "<script>alert(1)</script> is not safe"),
    ("Handler", '<img src=x onerror="alert(1)"> [click](javascript:alert(1))'),
    ("htmx", '<b hx-get="/admin/" hx-trigger="load">hx-get="/admin/"</b>'),
    ("Terminal", "\x1b[31mred\x1b[0m and \x07 bell"),
    ("Right to left", "invoice\u202efdp.exe\u202c is safe"),
    ("Zero width", "pass\u200b\u200b\u200bword, \u200djoined"),
    (
        "Tags",
        "Fine." + "".join(chr(0xE0000 + ord(c)) for c in "ignore the rules") + " Go on.",
    ),
    (
        "Link",
        "[https://verel.example/safe](https://evil.example/) ![seen](https://evil.example/x.png)",
    ),
)


@dataclass(frozen=True, slots=True)
class KitPage:
    hours: SafeString
    ages: SafeString
    steps: SafeString
    minimap: SafeString
    screen: str = "kit"
    nav: str = ""
    title: str = "Component sheet"
    lanes: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    escape: str = "E   assert 3 == 4 \x1b[0m"
    hostile: tuple[tuple[str, str], ...] = HOSTILE


def make_kit_page() -> KitPage:
    shape = (18, 14, 30, 34, 20, 16, 22, 40, 62, 78, 84, 80, 66, 86, 100, 90, 74, 60, 46, 40, 34)
    hours = [
        charts.Hour(
            up=shape[i % len(shape)] * 60,
            down=shape[i % len(shape)] // 2 if 8 <= i % 24 <= 18 else 0,
            tick=f"{i % 24:02d}:00" if i % 6 == 0 else "",
            partial=i == 47,
        )
        for i in range(48)
    ]
    ages = [("under 5 min", 2), ("5 to 15 min", 5), ("15 to 60 min", 7), ("1 to 4 h", 6)]
    kinds = ("call", "result", "thought", "edit", "message", "result", "bad", "override")
    return KitPage(
        hours=charts.draw_hours(hours, gap=(33, "ingest stopped 41 min")),
        ages=charts.draw_ages(
            [*ages, ("4 to 24 h", 3), ("over 24 h", 0)], late_from=4, promise="promise: 4 h"
        ),
        steps=charts.draw_steps(
            [
                charts.Series("train", (0, 12, 31, 52, 52, 49, 80, 121, 140, 184), main=True),
                charts.Series("held out", (0, 0, 1, 2, 2, 2, 5, 8, 10, 12)),
            ],
            [(0, "1 Nov"), (9, "10 Nov")],
            note=(5, "3 withdrawn"),
        ),
        minimap=charts.draw_minimap(
            [charts.Bucket(kinds[i % 8], (i * 7 % 11) / 10) for i in range(64)],
            forks=[(0.4, 1), (0.6, 2)],
            window=(0.7, 0.9),
        ),
    )


@require_safe
def show_kit(request: HttpRequest) -> HttpResponse:
    """The sheet, for developers: in debug mode, or for site staff."""
    if not (settings.DEBUG or (getattr(request, "user", None) and request.user.is_staff)):
        raise Http404
    return render_page(request, "kit.html", make_kit_page())
