"""A rented store in a folder: a file for each entry, under ids of its own. It lasts as the real one
does, and knows nothing of what it holds."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from memory.domain.likeness import words_of
from memory.ports.stores import Entry, Held, Near
from tests.memory.model_server import ALIKE


class FileStore:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, owner: str, record: str) -> list[Held]:
        return [held for held in self.every(owner) if held.record == record]

    def add(self, owner: str, entry: Entry) -> None:
        self._write(owner, str(uuid4()), entry)

    def replace(self, owner: str, held: Held, entry: Entry) -> None:
        self._write(owner, held.id, entry)

    def remove(self, owner: str, held: Held) -> None:
        self._path(owner, held.id).unlink(missing_ok=True)

    def every(self, owner: str) -> Iterator[Held]:
        for path in sorted(self._path(owner, "x").parent.glob("*.json")):
            told = json.loads(path.read_text())
            yield Held(path.stem, told["record"], told["digest"])

    def search(self, owner: str, goal: str, scopes: Sequence[str], limit: int) -> list[Near]:
        aim, found = _meanings(goal), []
        for path in self._path(owner, "x").parent.glob("*.json"):
            told = json.loads(path.read_text())
            share = len(aim & _meanings(told["text"])) / len(aim)
            if share and told["scope"] in scopes:
                found.append(Near(told["record"], share))
        return sorted(found, key=lambda near: (-near.closeness, near.record))[:limit]

    def texts(self, owner: str) -> list[str]:
        paths = self._path(owner, "x").parent.glob("*.json")
        return sorted(json.loads(path.read_text())["text"] for path in paths)

    def _write(self, owner: str, name: str, entry: Entry) -> None:
        told = {"record": entry.record, "digest": entry.digest, "text": entry.text}
        told["scope"] = entry.about.get("scope", "")
        path = self._path(owner, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told))

    def _path(self, owner: str, name: str) -> Path:
        return self._folder / owner / f"{name}.json"


def _meanings(text: str) -> set[str]:
    return {ALIKE.get(word, word) for word in words_of(text)}
