"""Fuzz the service of examples/server: HTTP by schemathesis, WebSockets by frames of our own.

    pip install '.[server]' schemathesis
    python fuzz/server.py --seconds 60

The service runs in a process of its own and is reached by loopback only. It may refuse whatever it likes, but
not fail: no status of 500 and above, no traceback, no end, and `/healthz` answers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import fastlstm

SERVER = Path(__file__).parents[1] / "examples" / "server"
MODELS = {
    "numbers": fastlstm.LSTM(3, 4, rng=0),
    "indices": fastlstm.Sequential(fastlstm.Embedding(10, 4, rng=0), fastlstm.LSTM(4, 4, rng=0)),
}
FRAMES = [b"[1, 2.5, -3e4]", b"7", b'[[1], {}, null, true, "a"]', b"1e999", bytes(12), bytes(8), b"\xff" * 12]
TOKENS = [
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b'"',
    b"-",
    b"1e39",
    b"NaN",
    b"9" * 400,
    b"[" * 2000,
    b"\\u0000",
    b"\xff",
]
CONNECTIONS = 8
CLOSES = {1007, 1008, 1009, 1013}
"""How the service may end a stream."""


@contextmanager
def serving(
    model: fastlstm.LSTM | fastlstm.Sequential,
) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """Run the service; yield its address, its process and its log."""
    with tempfile.TemporaryDirectory() as folder:
        path, log = Path(folder, "model.safetensors"), Path(folder, "log.txt")
        fastlstm.save(model, path)
        variables = {"MODEL": str(path), "HOST": "127.0.0.1", "PORT": "0", "MAX_STEPS": "100"}
        environment = os.environ | {f"FASTLSTM_SERVER_{name}": value for name, value in variables.items()}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(SERVER / "serve.py")], env=environment, stdout=output, stderr=output
            )
        try:
            yield address(process, log), process, log
        finally:
            process.kill()
            process.wait()


def address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return where the service listens, once it does."""
    while process.poll() is None:
        if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start:\n{log.read_text()}")


def fuzz_http(url: str, seconds: int, seed: int, folder: Path) -> bool:
    """Return whether schemathesis found nothing, with all of its checks but one.

    A description can't tell which bytes are refused, nor which numbers have no float32.
    """
    command = ["schemathesis", "run", f"{url}/openapi.json", "--max-time", str(seconds), "--seed", str(seed)]
    options = ["--phases", "coverage,fuzzing", "--exclude-checks", "positive_data_acceptance"]
    return subprocess.run([*command, *options], cwd=folder).returncode == 0


async def fuzz_frames(url: str, seconds: float, rng: random.Random) -> int:
    """Send frames on several connections at once; return how many. RuntimeError if one ends otherwise."""
    end = time.monotonic() + seconds

    async def one_after_another() -> int:
        sent = 0
        while time.monotonic() < end:
            async with connect(f"{url.replace('http', 'ws')}/v1/stream", proxy=None) as websocket:
                try:
                    while time.monotonic() < end:
                        sent += 1
                        await websocket.send(mutated(rng))
                        await asyncio.wait_for(websocket.recv(), 20)
                except ConnectionClosed as closed:
                    if closed.rcvd is None or closed.rcvd.code not in CLOSES:
                        raise RuntimeError(f"stream: expected one of {CLOSES}, got {closed}") from closed
        return sent

    return sum(await asyncio.gather(*(one_after_another() for _ in range(CONNECTIONS))))


def mutated(rng: random.Random) -> bytes | str:
    """Return a frame with parts taken out and others put in, as bytes or as text."""
    frame = rng.choice(FRAMES)
    for _ in range(rng.choice((0, 0, 1, 2, 8))):
        first, last = sorted(rng.choices(range(len(frame) + 1), k=2))
        frame = frame[:first] + rng.choice((b"", *TOKENS, rng.randbytes(3))) + frame[last:]
    return frame if rng.random() < 0.5 else frame.decode(errors="replace")


def main() -> None:
    """Fuzz a service of each kind of model, and say what was found by the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="altogether")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    share = max(arguments.seconds // (2 * len(MODELS)), 1)
    for name, model in MODELS.items():
        with serving(model) as (url, process, log):
            clean = fuzz_http(url, share, arguments.seed, log.parent)
            frames = asyncio.run(fuzz_frames(url, share, random.Random(arguments.seed)))
            print(f"{name}: {frames} frames", flush=True)
            alive = (
                process.poll() is None
                and urllib.request.urlopen(f"{url}/healthz", timeout=20).read() == b"ok\n"
            )
            if "Traceback" in log.read_text():
                sys.exit(log.read_text())
            if not (clean and alive):
                sys.exit(f"{name}: expected answers as the description says, and a service that lives on")


if __name__ == "__main__":
    main()
