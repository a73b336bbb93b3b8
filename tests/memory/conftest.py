from collections.abc import Iterator

import pytest

from tests.memory.model_server import ModelServer, serve_models


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    with serve_models() as server:
        yield server
