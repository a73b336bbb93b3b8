"""Cold storage: one interface over a local directory and any S3 API.

Objects are written once: a second write of a key is refused by the store itself
(`If-None-Match: *`; exclusive creation on disk), so two writers cannot mix.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings

# A store that does not answer holds up whoever waits for it so long, and no longer.
CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 15.0
PROBE_SECONDS: Final = 1.5
TRIES: Final = 3
PIECE_BYTES: Final = 256 * 1024


class AlreadyStored(Exception):
    """The key holds an object. Its content may be the same; the caller decides what that means."""


class NotStored(Exception):
    """There is no object under the key."""


class ColdStore(Protocol):
    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str) -> bytes: ...

    def put_file(self, key: str, path: Path) -> None:
        """As `put`, from a file that is never in memory as a whole."""

    def read(self, key: str) -> Iterator[bytes]:
        """The object in pieces. NotStored is raised at once, not with the first piece."""

    def probe(self) -> None:
        """Raises, soon, where objects can be neither written nor read."""


class Directory:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        draft.write_bytes(data)
        self._settle(key, draft, path)

    def put_file(self, key: str, path: Path) -> None:
        kept = self._path(key)
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_name(f".{kept.name}.{os.getpid()}.{os.urandom(4).hex()}")
        shutil.copyfile(path, draft)
        self._settle(key, draft, kept)

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise NotStored(key) from error

    def read(self, key: str) -> Iterator[bytes]:
        try:
            file = self._path(key).open("rb")
        except FileNotFoundError as error:
            raise NotStored(key) from error
        return _pieces(file)

    def probe(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(self.root)

    def _settle(self, key: str, draft: Path, path: Path) -> None:
        try:
            os.link(draft, path)
        except FileExistsError as error:
            raise AlreadyStored(key) from error
        finally:
            draft.unlink()

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise NotStored(key)
        return path


class Bucket:
    def __init__(self, name: str, prefix: str) -> None:
        self.name, self.prefix = name, prefix
        self.client = _open_client(read_timeout=READ_SECONDS, tries=TRIES)
        self._prober = _open_client(read_timeout=PROBE_SECONDS, tries=1)

    def put(self, key: str, data: bytes | IO[bytes]) -> None:
        try:
            self.client.put_object(
                Bucket=self.name, Key=self.prefix + key, Body=data, IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
                raise AlreadyStored(key) from error
            raise

    def put_file(self, key: str, path: Path) -> None:
        with path.open("rb") as file:
            self.put(key, file)

    def get(self, key: str) -> bytes:
        return b"".join(self.read(key))

    def read(self, key: str) -> Iterator[bytes]:
        try:
            answer = self.client.get_object(Bucket=self.name, Key=self.prefix + key)
        except self.client.exceptions.NoSuchKey as error:
            raise NotStored(key) from error
        return _pieces(answer["Body"])

    def probe(self) -> None:
        self._prober.head_bucket(Bucket=self.name)


def _open_client(*, read_timeout: float, tries: int) -> Any:
    # A session of its own: the shared one keeps the first credentials that it ever read.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=os.environ.get("VEREL_S3_ENDPOINT_URL") or None,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=read_timeout,
            retries={"total_max_attempts": tries, "mode": "standard"},
        ),
    )


def _pieces(file: Any) -> Iterator[bytes]:
    with closing(file):
        while piece := file.read(PIECE_BYTES):
            yield piece


@cache
def _open(url: str) -> ColdStore:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Directory(Path(unquote(parts.path)))
    prefix = parts.path.strip("/")
    return Bucket(parts.netloc, f"{prefix}/" if prefix else "")


def cold_store() -> ColdStore:
    """The store that VEREL_ARCHIVE_URL names."""
    return _open(settings.VEREL_ARCHIVE_URL)
