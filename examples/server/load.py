"""Requests a second, and how long they take, for some clients at once: this service beside others.

Each service has a process of its own, and the clients are in this one. They ask one service after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ONE_THREAD = {"FASTLSTM_NUM_THREADS": "1"}
SERVICES: dict[str, tuple[str, dict[str, str]]] = {
    "fastlstm": ("app:app", ONE_THREAD),
    "fastlstm, no delay": ("app:app", ONE_THREAD | {"FASTLSTM_SERVER_MAX_DELAY": "0"}),
    "fastlstm, each by itself": ("app:app", ONE_THREAD | {"FASTLSTM_SERVER_MAX_BATCH": "1"}),
    "ONNX Runtime, each by itself": ("onnx_app:app", {}),
}
FEATURES = 40
"""What the model that is served by default reads."""


@dataclass
class Result:
    """What the clients of one service saw: seconds of each request, of all together, and of its processor."""

    latencies: list[float]
    seconds: float
    busy: float

    def row(self) -> str:
        """Return requests a second, the median and 99th percentile in ms, and the processor's ms for one."""
        middle, high = np.percentile(self.latencies, [50, 99]) * 1e3
        count = len(self.latencies)
        return f"{count / self.seconds:.0f} | {middle:.1f} | {high:.1f} | {self.busy / count * 1e3:.2f}"


@contextmanager
def running(app: str, variables: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Run a service; yield its port and process."""
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-m", "uvicorn", app, "--app-dir", folder, "--port", "0", "--no-access-log"]
    process = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1]), process.pid
                return
        raise RuntimeError(f"{app} did not start:\n{said}")
    finally:
        process.terminate()
        process.communicate()


async def client(port: int, bodies: list[bytes], until: float, latencies: list[float]) -> None:
    """Ask again and again over one connection, and note how long each answer took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    k = 0
    while (begun := time.perf_counter()) < until:
        body = bodies[k % len(bodies)]
        head = f"POST /v1/sequences HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
        if not answer.startswith(b"HTTP/1.1 200") or length is None:
            raise RuntimeError(f"expected an answer, got {answer.decode()}")
        await reader.readexactly(int(length[1]))
        latencies.append(time.perf_counter() - begun)
        k += 1
    writer.close()


def processor_seconds(pid: int) -> float:
    """Return how long a process has run on any core; not a number where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return float("nan")
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


async def load(port: int, pid: int, clients: int, seconds: float, steps: int) -> Result:
    """Return what some clients saw, each with sequences of lengths of its own."""
    rng = np.random.default_rng(0)

    def bodies() -> list[bytes]:
        lengths = rng.integers(steps // 2, steps, 8, endpoint=True)
        return [rng.standard_normal((T, FEATURES)).astype("<f4").tobytes() for T in lengths]

    by_client = [bodies() for _ in range(clients)]
    for measured in (seconds / 4, seconds):  # the first is to get warm
        latencies: list[float] = []
        begun, busy = time.perf_counter(), processor_seconds(pid)
        await asyncio.gather(*(client(port, own, begun + measured, latencies) for own in by_client))
        result = Result(latencies, time.perf_counter() - begun, processor_seconds(pid) - busy)
    return result


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64], metavar="N")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each number of clients")
    parser.add_argument(
        "--steps", type=int, default=100, help="of the longest sequence; the shortest has half"
    )
    parser.add_argument("--only", choices=SERVICES, nargs="+", default=list(SERVICES), help="services")
    arguments = parser.parse_args()
    print("| clients | service | requests/s | p50, ms | p99, ms | processor, ms |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    with ExitStack() as stack:
        services = {name: stack.enter_context(running(*SERVICES[name])) for name in arguments.only}
        for clients in arguments.clients:
            for name, service in services.items():
                result = asyncio.run(load(*service, clients, arguments.seconds, arguments.steps))
                print(f"| {clients} | {name} | {result.row()} |", flush=True)


if __name__ == "__main__":
    main()
