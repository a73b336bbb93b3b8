"""`manage.py check --deploy`, as an operator meets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection
from pytest_django.fixtures import Settings

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
