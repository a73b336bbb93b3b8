"""A dictionary from a project's own events."""

from io import StringIO
from pathlib import Path

import pytest
import zstandard
from django.core.management import CommandError, call_command

from branches.models import Branch, Event
from branches.storage.payloads import payload_bytes
from branches.storage.training import read_samples
from tests.make import append, make_draft, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def trunk() -> Branch:
    _, trunk = make_run()
    # Each is told apart from the others, and says much that all of them say.
    append(
        trunk,
        *(
            make_draft(
                "data.tool.result",
                {
                    "call_id": f"call_{number * 7919 % 10007}",
                    "content": f"infusion rate {number * 31 % 97} ml/h of {number % 13} pumps",
                    "kind": ["bolus", "basal", "purge"][number % 3],
                },
            )
            for number in range(400)
        ),
    )
    return trunk


def train(trunk: Branch, out: Path, **options: object) -> str:
    told = StringIO()
    named = {"project": trunk.project.slug, "out": out, "bytes": 2048, **options}
    call_command("train_dictionary", stdout=told, **named)
    return told.getvalue()


def test_the_same_events_give_the_same_dictionary_and_events_come_back_through_it(
    trunk: Branch, tmp_path: Path
) -> None:
    told = train(trunk, tmp_path / "a")
    train(trunk, tmp_path / "b")
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(data)
    assert (dictionary.dict_id(), len(data) <= 2048) == (2, True)
    sample = payload_bytes(Event.objects.filter(branch=trunk).latest("position"))
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(sample)
    assert zstandard.ZstdDecompressor(dict_data=dictionary).decompress(frame) == sample
    assert len(frame) < len(zstandard.ZstdCompressor().compress(sample)) / 2
    assert "without one" in told


def test_samples_are_spread_over_all_events(trunk: Branch) -> None:
    some = read_samples(trunk.project_id, limit=40)
    every = read_samples(trunk.project_id)
    assert len(every) == 401
    assert len(some) <= 40
    assert set(some) < set(every)
    assert some[-1] in every[-20:]


def test_what_cannot_be_done_is_told_and_nothing_is_written(trunk: Branch, tmp_path: Path) -> None:
    out = tmp_path / "one"
    few = make_run()[1]
    for branch, changed, said in (
        (few, {}, "too little to train on"),
        (trunk, {"id": 1}, "--id is more than 1"),
        (trunk, {"bytes": 1}, "--bytes is from"),
        (trunk, {"project": "nowhere"}, "no project 'nowhere'"),
    ):
        with pytest.raises(CommandError, match=said):
            train(branch, out, **changed)
        assert not out.exists()
    out.write_bytes(b"mine")
    with pytest.raises(CommandError, match="cannot be written"):
        train(trunk, out)
    assert out.read_bytes() == b"mine"
