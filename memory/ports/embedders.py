"""Models that turn texts into vectors, by name. VEREL_EMBEDDER chooses one, or none."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from memory.ports.failures import PortFailed
from memory.ports.openai import OpenAIServer

type Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]

MAX_DIMENSIONS: Final = 4_096
BATCH: Final = 64
LONGEST: Final = 8_000


class Embedder(Protocol):
    """`name` changes whenever the same text would get another vector."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 for each text, all of one width. Raises PortFailed."""
        ...


class OpenAIEmbedder:
    """Any server that answers `POST embeddings`."""

    def __init__(self, server: OpenAIServer, model: str, *, address: str) -> None:
        self._server, self._model = server, model
        # Two servers may call different weights by one name.
        place = hashlib.sha256(address.encode()).hexdigest()[:8]
        self.name = f"openai:{model[:50]}@{place}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            batch = [text[:LONGEST] or " " for text in texts[start : start + BATCH]]
            answer = self._server.ask("embeddings", {"model": self._model, "input": batch})
            rows += read_vectors(answer, len(batch))
        if len({len(row) for row in rows}) > 1:
            raise PortFailed("The embeddings are not of one width.")
        return normalized(np.array(rows, dtype=np.float32))


def read_vectors(answer: dict[str, Any], count: int) -> list[list[float]]:
    """`count` rows in the order of their texts. Raises PortFailed."""
    try:
        told = {row["index"]: row["embedding"] for row in answer["data"]}
        rows = [told[index] for index in range(count)]
    except (KeyError, TypeError) as error:
        raise PortFailed("The answer has not one embedding for each text.") from error
    if len(answer["data"]) != count or not all(_is_vector(row) for row in rows):
        raise PortFailed("An embedding is no list of finite numbers.")
    return rows


def _is_vector(row: Any) -> bool:
    return (
        isinstance(row, list)
        and 0 < len(row) <= MAX_DIMENSIONS
        and all(type(x) in (int, float) and abs(x) < 1e30 for x in row)
    )


def normalized(rows: Vectors) -> Vectors:
    """Rows of length 1, so that a product is a cosine. Raises PortFailed for one without any."""
    if not len(rows):
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise PortFailed("An embedding has no direction.")
    scaled: Vectors = rows / lengths
    return scaled


def _make_local() -> Embedder:
    try:
        from memory.ports.minilm import MiniLM
    except ImportError as error:
        raise ImproperlyConfigured(
            "VEREL_EMBEDDER=local takes the packages of the extra `ml`: pip install '.[ml]'."
        ) from error
    return MiniLM()


def _make_openai() -> Embedder:
    url, model = settings.VEREL_EMBEDDINGS_URL, settings.VEREL_EMBEDDINGS_MODEL
    if not url or not model:
        raise ImproperlyConfigured(
            "VEREL_EMBEDDER=openai takes VEREL_EMBEDDINGS_URL and VEREL_EMBEDDINGS_MODEL."
        )
    server = OpenAIServer(base_url=url, api_key=settings.VEREL_EMBEDDINGS_KEY)
    return OpenAIEmbedder(server, model, address=url)


_makers: dict[str, Callable[[], Embedder]] = {"local": _make_local, "openai": _make_openai}


# A local model takes a second and its weights' room: two threads that come first load it once.
_making = threading.Lock()


def register_embedder(name: str, make: Callable[[], Embedder]) -> None:
    """Makes VEREL_EMBEDDER take `name`, for an embedder that an installation brings along."""
    _makers[name] = make
    _made.cache_clear()


def current_embedder() -> Embedder | None:
    """The one that is chosen; None where none is. Raises ImproperlyConfigured."""
    if settings.VEREL_EMBEDDER == "none":
        return None
    chosen = (settings.VEREL_EMBEDDINGS_URL, settings.VEREL_EMBEDDINGS_MODEL)
    with _making:
        return _made(settings.VEREL_EMBEDDER, *chosen, settings.VEREL_EMBEDDINGS_KEY)


@lru_cache(maxsize=4)
def _made(name: str, *chosen: str) -> Embedder:
    # What else it is made from is in the key: other settings make another one.
    if name not in _makers:
        raise ImproperlyConfigured(
            f"VEREL_EMBEDDER is {name!r}; it takes none, {', '.join(sorted(_makers))}."
        )
    return _makers[name]()
