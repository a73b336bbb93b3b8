import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verel_site.kit.sheets import plain_cell, write_rows


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
def test_what_a_spreadsheet_would_compute_is_text(text: str) -> None:
    assert plain_cell(text) == f"'{text}"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00")), min_size=1))
def test_every_cell_comes_back(cells: list[str]) -> None:
    written = b"".join(write_rows([f"c{i}" for i in range(len(cells))], [cells])).decode()
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert read[1] == [plain_cell(cell) for cell in cells]
