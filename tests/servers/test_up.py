"""`./dev up`: the production profile on servers of its own, started, stopped and started again."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.profile import throwaway_directory
from tests.servers.conftest import ALL_UP

ROOT: Final = Path(__file__).resolve().parents[2]
STOP_SECONDS: Final = 90


class Up:
    """One start over `home`. It has printed its address and its link when it is made."""

    def __init__(self, home: Path) -> None:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("VEREL_")}
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "verel_site.servers.up", "--port", "0"],
            cwd=ROOT,
            env={**ours, "DJANGO_SETTINGS_MODULE": "verel_site.settings", "VEREL_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        output = self.process.stdout
        for line in output:
            self.said.append(line)
            if "Ctrl C stops it." in line:
                break
        else:
            raise AssertionError("".join(self.said))
        threading.Thread(target=lambda: self.said.extend(output), daemon=True).start()
        self.address = self._told(r"listens on\s+(\S+)")
        self.link = self._told(r"Sign in, once:\s+(\S+)")

    def _told(self, pattern: str) -> str:
        found = re.search(pattern, "".join(self.said))
        assert found is not None, self.said
        return found[1]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@pytest.fixture
def home() -> Iterator[Path]:
    home = throwaway_directory()
    yield home
    for process in processes_over(home):
        os.kill(process, signal.SIGKILL)


def processes_over(home: Path) -> list[int]:
    """Those that were started over the directory, by what stands in their arguments or environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:
            continue  # it has ended meanwhile, or is somebody else's
        if str(home).encode() in told and int(place.name) != os.getpid():
            found.append(int(place.name))
    return found


def test_it_serves_ends_with_all_it_started_and_keeps_what_it_had(home: Path) -> None:
    first = Up(home)
    # The product, its worker, two web processes, three servers and who guards them.
    assert len(processes_over(home)) > 6
    ready = httpx.get(f"{first.address}readyz", timeout=60)
    assert (ready.status_code, ready.json()["checks"]) == (200, ALL_UP)
    with httpx.Client(follow_redirects=True, timeout=60) as person:
        page = person.get(first.link)
        assert page.status_code == 200
        assert "/runs/" in page.text
        assert first.end() == 0, first.said
        assert processes_over(home) == []

        second = Up(home)
        # The session is kept, and so is the secret that signs it.
        again = person.get(second.address)
        assert again.status_code == 200
        assert str(again.url).endswith(page.url.path)
        assert set(re.findall(r"/runs/[0-9a-f-]{36}/", page.text)) <= set(
            re.findall(r"/runs/[0-9a-f-]{36}/", again.text)
        )
        assert person.get(f"{second.address}readyz").json()["checks"] == ALL_UP
    assert second.end() == 0
    assert processes_over(home) == []
