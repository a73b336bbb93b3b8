"""Cold storage: one interface over a local directory and any S3 API.

Objects are written once: a second write of a key is refused by the store itself
(`If-None-Match: *`; exclusive creation on disk), so two writers cannot mix.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import boto3
from botocore.exceptions import ClientError
from django.conf import settings


class AlreadyStored(Exception):
    """The key holds an object. Its content may be the same; the caller decides what that means."""


class NotStored(Exception):
    """There is no object under the key."""


class ColdStore(Protocol):
    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str) -> bytes: ...


class Directory:
    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        draft.write_bytes(data)
        try:
            os.link(draft, path)
        except FileExistsError as error:
            raise AlreadyStored(key) from error
        finally:
            draft.unlink()

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise NotStored(key) from error

    def _path(self, key: str) -> Path:
        path = (self.root / key).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise NotStored(key)
        return path


class Bucket:
    def __init__(self, name: str, prefix: str) -> None:
        self.name, self.prefix = name, prefix
        self.client: Any = boto3.client(
            "s3", endpoint_url=os.environ.get("VEREL_S3_ENDPOINT_URL") or None
        )

    def put(self, key: str, data: bytes) -> None:
        try:
            self.client.put_object(
                Bucket=self.name, Key=self.prefix + key, Body=data, IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
                raise AlreadyStored(key) from error
            raise

    def get(self, key: str) -> bytes:
        try:
            answer = self.client.get_object(Bucket=self.name, Key=self.prefix + key)
        except self.client.exceptions.NoSuchKey as error:
            raise NotStored(key) from error
        data: bytes = answer["Body"].read()
        return data


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
