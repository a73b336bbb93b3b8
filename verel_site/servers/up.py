"""`./dev up`: the production profile on one's own machine, on servers that are started for it.

PostgreSQL, Valkey and SeaweedFS run on free loopback ports over directories of their own under
VEREL_HOME/up, which are kept between starts; the product runs on them as several web processes and
a worker. Everything ends with this process.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Final

from verel_site.servers.places import ServerUnavailable
from verel_site.servers.together import Servers

ROOT: Final = Path(__file__).resolve().parents[2]
PROCESSES: Final = 2
# The product stops within its own time and grace; this is for what is wrong with it.
STOP_SECONDS: Final = 20.0


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev up", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    return parser.parse_args()


def product_environment(home: Path, servers: Servers) -> dict[str, str]:
    """The production profile; over plain HTTP, since only this machine hears it."""
    return {
        **os.environ,
        "VEREL_HOME": str(home),
        "VEREL_SECURE": os.environ.get("VEREL_SECURE", "0"),
        "VEREL_LOG": os.environ.get("VEREL_LOG", "json"),
        **servers.environment,
    }


def run_product(home: Path, servers: Servers, arguments: argparse.Namespace) -> int:
    """Blocks until the product ends, or SIGTERM or SIGINT asks this process to end it."""
    command = [sys.executable, "manage.py", "demo", "--owned", "--host", arguments.host]
    command += ["--processes", str(arguments.processes)]
    command += ["--port", str(arguments.port)] if arguments.port is not None else []
    log = home / "log.jsonl"
    print(f"Logs:             {log}", flush=True)
    with log.open("ab") as output:
        # A session of its own: Ctrl C reaches this process alone.
        product = subprocess.Popen(
            command,
            cwd=ROOT,
            env=product_environment(home, servers),
            stdin=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        product.terminate()

    for how in (signal.SIGTERM, signal.SIGINT):
        signal.signal(how, stop)
    try:
        status = _wait(product, asked)
    finally:
        if product.poll() is None:
            product.kill()
            product.wait()
    if status != 0 and not asked:
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        print(f"Verel ended with status {status}: {last}", file=sys.stderr)
    return status


def _wait(product: "subprocess.Popen[bytes]", asked: list[int]) -> int:
    while not asked:
        try:
            return product.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    try:
        return product.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        return 1


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    arguments = read_arguments()
    home = Path(os.environ.get("VEREL_HOME") or ROOT / "var").expanduser().resolve() / "up"
    home.mkdir(parents=True, exist_ok=True)
    # Until the product runs, both ways of asking unwind the servers that have started.
    signal.signal(signal.SIGTERM, _end)
    print("Starting PostgreSQL, Valkey and SeaweedFS", flush=True)
    try:
        with Servers(home) as servers:
            return run_product(home, servers, arguments)
    except ServerUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
