"""CSV that a spreadsheet opens as text: no cell of ours is ever a formula."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

# What Excel, LibreOffice and Google Sheets take for the beginning of a formula.
_OPENERS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def plain_cell(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would compute it."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_OPENERS) else text


def write_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """CSV line by line, in UTF-8, every cell quoted."""
    for row in chain([header], rows):
        out = io.StringIO()
        csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(
            [plain_cell(cell) for cell in row]
        )
        yield out.getvalue().encode(errors="replace")
