"""Requests a second, and how long they take: the service, and the same with ONNX Runtime inside.

python load.py --clients 64 --steps 100
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from app import FEATURES

HERE = Path(__file__).parent
SERVICES = {"fastlstm": "app:create_app", "ONNX Runtime": "onnx_app:create_app"}


@contextmanager
def service(factory: str) -> Iterator[int]:
    """Run a service in a process of its own, and yield its port."""
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, "--port", "0", "--no-access-log"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=HERE, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                break
        else:
            raise RuntimeError(f"{factory} did not start")
    finally:
        process.terminate()
        process.communicate()


async def client(port: int, request: bytes, until: float, seconds: list[float]) -> None:
    """Send the same request again and again, and note how long each took.

    Plain HTTP/1.1 on a connection that stays open: a client library would take longer than the service.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (started := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        await reader.readexactly(int(length[1]))
        seconds.append(time.perf_counter() - started)
    writer.close()
    await writer.wait_closed()


async def drive(port: int, clients: int, steps: int, duration: float) -> tuple[float, np.ndarray]:
    """Return requests a second, and the seconds of each."""
    rng = np.random.default_rng(0)
    bodies = [
        rng.standard_normal((length, FEATURES)).astype("<f4").tobytes()
        for length in rng.integers(max(1, steps // 2), steps + steps // 2 + 1, clients)
    ]
    head = "POST /v1/sequences HTTP/1.1\r\nhost: localhost\r\naccept: application/octet-stream\r\n"
    head += "content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n"
    requests = [head.format(len(body)).encode() + body for body in bodies]
    seconds: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(client(port, request, started + duration, seconds) for request in requests))
    return len(seconds) / (time.perf_counter() - started), np.array(seconds)


def main() -> None:
    """Drive the services by turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64, help="at the same time (default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, default=100, help="of a sequence, more or less by half (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="by turns (default: %(default)s)")
    arguments = parser.parse_args()
    factories = dict(SERVICES)
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        print("ONNX Runtime is not installed: pip install onnx onnxruntime", file=sys.stderr)
        del factories["ONNX Runtime"]
    rates: dict[str, list[float]] = {name: [] for name in factories}
    times: dict[str, list[np.ndarray]] = {name: [] for name in factories}
    for _ in range(arguments.rounds):
        for name, factory in factories.items():
            with service(factory) as port:
                for duration in (arguments.seconds / 5, arguments.seconds):  # the first to warm up
                    done = asyncio.run(drive(port, arguments.clients, arguments.steps, duration))
            rate, seconds = done
            rates[name].append(rate)
            times[name].append(seconds)
    print("| service | requests/s, best | median | p50 | p99 |\n| --- | ---: | ---: | ---: | ---: |")
    for name in factories:
        p50, p99 = np.percentile(np.concatenate(times[name]), [50, 99]) * 1e3
        print(
            f"| {name} | {max(rates[name]):.0f} | {np.median(rates[name]):.0f} | {p50:.1f} ms | {p99:.1f} ms |"
        )


if __name__ == "__main__":
    main()
