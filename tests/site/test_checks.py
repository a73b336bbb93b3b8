"""`manage.py check --deploy`, as an operator meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError
from django.db import connection
from pytest_django.fixtures import Settings

from memory.checks import check_models
from memory.ports import stores
from verel_site.management.commands import serve
from verel_site.management.commands.serve import demand_room

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-long-and-various-secret:" + "k3Jq9zXw7" * 6
PRODUCTION = {"VEREL_ALLOWED_HOSTS": "verel.example", "VEREL_SECRET_KEY": SECRET}


def check(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VEREL_", "DJANGO_"))
    }
    told = {**ours, "DJANGO_SETTINGS_MODULE": "verel_site.settings", "VEREL_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**told, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_production_profile_has_nothing_to_warn_of(tmp_path: Path) -> None:
    servers = {
        "VEREL_DATABASE_URL": "postgresql://verel:x@db.example:5432/verel",
        "VEREL_REDIS_URL": "redis://redis.example:6379/0",
        "VEREL_ARCHIVE_URL": "s3://verel/archive",
        "VEREL_PROCESSES": "4",
    }
    done = check(tmp_path, **PRODUCTION, **servers)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"VEREL_SECRET_KEY": ""}, "verel.W001"),
        ({"VEREL_ALLOWED_HOSTS": "", "VEREL_SECURE": "1"}, "verel.W002"),
        ({"VEREL_PROCESSES": "2"}, "verel.E001"),
        (
            {"VEREL_PROCESSES": "2", "VEREL_DATABASE_URL": "postgresql://verel:x@db.example/verel"},
            "verel.E002",
        ),
        ({"VEREL_PROCESSES": "none"}, "VEREL_PROCESSES is 'none'"),
        ({"VEREL_LOG": "xml"}, "VEREL_LOG is 'xml'"),
    ],
)
def test_a_set_up_that_would_not_do_is_named(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    done = check(tmp_path, **{**PRODUCTION, **changed})
    assert done.returncode != 0
    assert said in done.stderr


def test_what_keys_encrypt_and_what_they_do_not_is_told_without_failing(tmp_path: Path) -> None:
    done = check(tmp_path, **PRODUCTION, VEREL_EVENT_KEYS="k1:" + "A" * 43 + "=")
    assert done.returncode == 0, done.stderr
    assert "verel.I001" in done.stderr
    assert "arguments in approvals" in done.stderr


@pytest.mark.parametrize("redis", ["", "redis://redis.example:6379/0"])
def test_several_processes_are_not_served_where_they_could_not_tell_each_other_who_is_there(
    settings: Settings, redis: str
) -> None:
    settings.VEREL_REDIS_URL = redis
    if redis and connection.vendor == "postgresql":
        demand_room(2)
        return
    with pytest.raises(CommandError, match="need PostgreSQL and Redis"):
        demand_room(2)
    demand_room(1)


def mem0_file(tmp_path: Path, **config: object) -> str:
    path = tmp_path / "mem0.json"
    path.write_text(json.dumps({"vector_store": {"provider": "qdrant", "config": config}}))
    return str(path)


def test_a_store_in_a_folder_is_not_served_by_several_processes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package itself is an extra; nothing of it is opened here.
    monkeypatch.setattr(stores, "find_spec", lambda name: object())
    monkeypatch.setattr(serve, "connection", SimpleNamespace(vendor="postgresql"))
    settings.VEREL_REDIS_URL, settings.VEREL_PROCESSES = "redis://redis.example:6379/0", 2
    settings.VEREL_MEMORY_STORE = "mem0"
    settings.VEREL_MEM0_CONFIG = mem0_file(tmp_path, path=str(tmp_path / "qdrant"))
    with pytest.raises(CommandError, match="serves one process at a time"):
        demand_room(2)
    assert [one.id for one in check_models()] == ["memory.E004"]
    settings.VEREL_MEM0_CONFIG = mem0_file(tmp_path, url="http://qdrant.example:6333")
    demand_room(2)
    assert check_models() == []


@pytest.mark.parametrize("told", ["", "/no/such/file", "not json", "[]"])
def test_a_file_that_is_none_for_mem0_is_named_and_nothing_is_opened(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    monkeypatch.setattr(stores, "find_spec", lambda name: object())
    settings.VEREL_MEMORY_STORE, settings.VEREL_MEM0_CONFIG = "mem0", told
    if told not in ("", "/no/such/file"):
        path = tmp_path / "mem0.json"
        path.write_text(told)
        settings.VEREL_MEM0_CONFIG = str(path)
    (found,) = check_models()
    assert found.id == "memory.E003"
    assert "VEREL_MEM0_CONFIG" in found.msg
