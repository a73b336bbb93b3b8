from collections.abc import Iterator

import pytest

from tests.inbox.make import plain_kind


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    with plain_kind():
        yield
