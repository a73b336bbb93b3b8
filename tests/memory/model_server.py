"""A server of OpenAI's manner on this machine: real HTTP, and vectors that are the same everywhere."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from memory.domain.likeness import words_of
from memory.ports.embedders import Vectors, normalized

WIDTH = 64
# Words that mean the same lie in one place, as in a model that was trained.
ALIKE = {"dosage": "dose", "limit": "cap", "ceiling": "cap", "vehicle": "car", "automobile": "car"}


class HashedWords:
    """An embedder without a model: each word has a direction of its own, synonyms share one."""

    name = "hashed-words"

    def embed(self, texts: Any) -> Vectors:
        return normalized(np.array([vector_of(text) for text in texts], dtype=np.float32))


def vector_of(text: str) -> list[float]:
    total = np.full(WIDTH, 1e-6)
    for word in sorted(words_of(text)):
        seed = int.from_bytes(hashlib.sha256(ALIKE.get(word, word).encode()).digest()[:8], "big")
        total += np.random.default_rng(seed).standard_normal(WIDTH)
    told: list[float] = total.tolist()
    return told


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    told = body["input"] if isinstance(body["input"], list) else [body["input"]]
    # Out of order, as the protocol allows.
    rows = [{"index": i, "embedding": vector_of(text)} for i, text in enumerate(told)][::-1]
    return {"object": "list", "data": rows, "model": body["model"], "usage": {}}


def verdict(content: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content}}]}


type Say = Callable[[str, dict[str, Any]], tuple[int, bytes]]


class ModelServer:
    """`say(path, body)` gives status and body; `asked` is all that came, with its key."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.say: Say = lambda path, body: (200, json.dumps(embeddings(body)).encode())

    def answer(self, body: Any, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.say = lambda *_: (status, raw)


@contextmanager
def serve_models() -> Iterator[ModelServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave as one, or each answer waits for an acknowledgement.
        wbufsize = -1

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.asked.append((self.path, body, self.headers.get("Authorization", "")))
            status, raw = told.say(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told = ModelServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
