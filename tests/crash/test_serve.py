"""The served product, killed and stopped for real."""

import signal
import threading

import httpx

from tests.crash.conftest import Place
from tests.crash.pushing import start_pushers
from tests.crash.served import Served


def test_what_was_acknowledged_before_a_kill_is_there_after_it_once(served: Served) -> None:
    served.start()
    pushers = start_pushers(served, "killed")
    for pusher in pushers:
        pusher.wait_for(acknowledged=15)
    served.end(signal.SIGKILL)
    served.start()
    for pusher in pushers:
        pusher.wait_for(acknowledged=len(pusher.acknowledged) + 3)
        pusher.stop()
        pusher.check()
    assert sum(pusher.failures for pusher in pushers) >= 1


def test_sigterm_stops_the_server_cleanly(served: Served) -> None:
    served.start()
    assert httpx.get(f"{served.url}healthz", timeout=60).json() == {"status": "alive"}
    assert httpx.get(f"{served.url}readyz", timeout=60).json()["status"] == "ready"
    assert served.end(signal.SIGTERM) == 0


def test_a_stuck_view_does_not_keep_the_server_from_stopping(place: Place) -> None:
    served = place.serve(DJANGO_SETTINGS_MODULE="tests.crash.stuck_settings")
    served.start("--no-worker")
    answers: list[httpx.Response] = []

    def ask() -> None:
        try:
            answers.append(httpx.get(f"{served.url}stuck/", timeout=60))
        except httpx.HTTPError:
            return

    with httpx.Client(timeout=60) as client:
        stuck = threading.Thread(target=ask)
        stuck.start()
        while not client.get(f"{served.url}stuck/count/").json()["stuck"]:
            assert stuck.is_alive()
    # Not clean, and said: whoever supervises it knows that an answer was cut off.
    assert served.end(signal.SIGTERM) == 1
    stuck.join()
    assert not answers
    assert any("ended by force" in line for line in served.said)
