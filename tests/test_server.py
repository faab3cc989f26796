"""The service of examples/server, started for real and driven by real clients."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

for needed in ("starlette", "uvicorn", "websockets", "prometheus_client", "orjson"):
    pytest.importorskip(needed, reason="needs the extra 'server'")
httpx = pytest.importorskip("httpx", reason="needs httpx, of the extra 'test'")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync import client as sync_client  # noqa: E402

import fastlstm  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples" / "server"
pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not here")

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SOON = 30
JSON, RAW, NPY = "application/json", "application/octet-stream", "application/x-npy"
MODEL = fastlstm.Sequential(fastlstm.LSTM(3, 16, rng=0), fastlstm.Linear(16, 2, rng=0))
TAGGER = fastlstm.Sequential(fastlstm.Embedding(10, 4, rng=0), fastlstm.LSTM(4, 6, rng=0))


class Server:
    """The service in a process of its own."""

    def __init__(self, process, log):
        self.process = process
        self.log = log
        deadline = time.monotonic() + SOON
        while process.poll() is None and time.monotonic() < deadline:
            if found := re.search(r"running on http://(127\.0\.0\.1):(\d+)", self.said()):
                self.address = found[1], int(found[2])
                self.url = f"http://{found[1]}:{found[2]}"
                return
            time.sleep(0.01)
        pytest.fail(self.said())

    def said(self):
        return self.log.read_text()

    def post(self, body, kind=JSON):
        return httpx.post(
            f"{self.url}/v1/sequences",
            content=body,
            headers={"content-type": kind},
            timeout=SOON,
            trust_env=False,
        )

    def get(self, path):
        return httpx.get(f"{self.url}{path}", timeout=SOON, trust_env=False)

    def metrics(self):
        """Return the value of each sample, by its name and labels."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
        }

    def wait_for(self, name, value):
        """Return whether a metric comes to a value."""
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            if self.metrics()[(name,)] == value:
                return True
            time.sleep(0.01)
        return False

    def stream(self):
        return connect(f"{self.url.replace('http', 'ws')}/v1/stream", proxy=None, open_timeout=SOON)

    def connect(self):
        """Return a connection of which nothing is known but its bytes."""
        return socket.create_connection(self.address, timeout=SOON)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        """Return how many bytes are resident."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        """Ask it to end, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(SOON)


@contextlib.contextmanager
def serving(folder, model=MODEL, **limits):
    path = folder / "model.safetensors"
    fastlstm.save(model, path)
    given = {"model": path, "port": 0, **limits}
    variables = {f"FASTLSTM_SERVER_{name.upper()}": str(value) for name, value in given.items()}
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLE / "serve.py")],
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
    try:
        server = Server(process, log)
        yield server
        if process.poll() is None:
            server.stop()
        assert "Traceback" not in server.said(), server.said()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    limits = {"max_body": 20_000, "max_steps": 500, "max_streams": 64}
    with serving(tmp_path_factory.mktemp("server"), **limits) as server:
        yield server


def sequence(length, seed=0):
    return np.random.default_rng(seed).standard_normal((length, 3)).astype(np.float32)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_body(kind, x):
    if kind == JSON:
        return b'{"x": %s}' % str(x.tolist()).encode()
    return x.tobytes() if kind == RAW else npy(x)


def as_array(kind, response, columns=2):
    if kind == JSON:
        return np.array(response.json()["y"], np.float32).reshape(-1, columns)
    if kind == RAW:
        return np.frombuffer(response.content, np.float32).reshape(-1, columns)
    return np.load(io.BytesIO(response.content))


class TestResults:
    @pytest.mark.parametrize("kind", [JSON, RAW, NPY])
    @pytest.mark.parametrize("length", [0, 1, 50])
    def test_of_one_sequence(self, server, kind, length):
        x = sequence(length)
        response = server.post(as_body(kind, x), kind)
        assert (response.status_code, response.headers["content-type"]) == (200, kind)
        assert as_array(kind, response).tobytes() == MODEL(x).tobytes()

    def test_under_64_clients_of_each_kind(self, server):
        """Whole sequences and streams at the same time, each client with its own."""

        async def ask(client, seed):
            kind = (JSON, RAW, NPY)[seed % 3]
            for k in range(4):
                x = sequence((7 * seed + k) % 40, seed)
                headers = {"content-type": kind}
                response = await client.post("/v1/sequences", content=as_body(kind, x), headers=headers)
                assert as_array(kind, response).tobytes() == MODEL(x).tobytes()

        async def follow(seed):
            x = sequence(15, seed)
            async with server.stream() as websocket:
                for x_t, y_t in zip(x, MODEL(x), strict=True):
                    await websocket.send(x_t.tobytes() if seed % 2 else str(x_t.tolist()))
                    answer = await websocket.recv()
                    if isinstance(answer, str):
                        answer = np.array(json.loads(answer), np.float32).tobytes()
                    assert answer == y_t.tobytes()

        async def run():
            async with httpx.AsyncClient(base_url=server.url, timeout=SOON, trust_env=False) as client:
                await asyncio.gather(*(ask(client, k) for k in range(64)), *map(follow, range(64)))

        before = server.metrics()
        asyncio.run(run())
        after = server.metrics()
        answered = ("fastlstm_sequences_total", "answered")
        assert after[answered] - before[answered] == 256
        batches = after[("fastlstm_batch_size_count",)] - before[("fastlstm_batch_size_count",)]
        assert batches < 256
        assert after[("fastlstm_frames_sum",)] - before[("fastlstm_frames_sum",)] == 64 * 15
        assert server.wait_for("fastlstm_streams_open", 0)

    def test_of_indices(self, tmp_path):
        with serving(tmp_path, TAGGER) as server:
            x = np.array([3, 1, 4, 1, 5])
            for kind in (JSON, RAW, NPY):
                y = as_array(kind, server.post(as_body(kind, x), kind), 6)
                assert y.tobytes() == TAGGER(x).tobytes()
            for wrong in (b'{"x": [3, 10]}', b'{"x": [-1]}', b'{"x": [1.0]}', b'{"x": [[1]]}'):
                assert server.post(wrong).status_code == 422

            async def follow():
                async with server.stream() as good, server.stream() as bad:
                    for token, y_t in zip(x, TAGGER(x), strict=True):
                        await good.send(str(token))
                        assert np.array(json.loads(await good.recv()), np.float32).tobytes() == y_t.tobytes()
                    await bad.send("10")
                    return await closing(bad)

            assert asyncio.run(follow())[0] == 1007

    def test_of_a_model_that_needs_the_whole(self, tmp_path):
        model = fastlstm.Sequential(fastlstm.LSTM(3, 4, bidirectional=True, rng=0), fastlstm.LastStep())
        with serving(tmp_path, model) as server:
            x = sequence(9)
            y = np.array(server.post(as_body(JSON, x)).json()["y"], np.float32)
            assert y.tobytes() == model(x).tobytes()
            assert ("fastlstm_streams_open",) not in server.metrics()


async def closing(websocket):
    """Return the code and the reason with which the server closes."""
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(websocket.recv(), SOON)
    return websocket.close_code, websocket.close_reason


MALFORMED = {
    "empty": (JSON, b"", 400),
    "no JSON": (JSON, b'{"x": [[1, 2', 400),
    "no object": (JSON, b"[[1, 2, 3]]", 400),
    "another name": (JSON, b'{"y": [[1, 2, 3]]}', 400),
    "invalid UTF-8": (JSON, b'{"x": "\xff\xfe"}', 400),
    "NaN": (JSON, b'{"x": [[1, 2, NaN]]}', 400),
    "nested deep": (JSON, b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}", 422),
    "nested deeper than arrays": (JSON, b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", 422),
    "objects": (JSON, b'{"x": [{"0": 1, "1": 2, "2": 3}]}', 422),
    "objects inside": (JSON, b'{"x": [[1, 2, {}]]}', 422),
    "nested objects": (JSON, b'{"x": ' + b'{"x": ' * 2000 + b"1" + b"}" * 2001, 422),
    "many names": (JSON, b'{"x": {%s"": 1}}' % (b'"":1,' * 3000), 422),
    "many lists": (JSON, b'{"x": [%s[]]}' % (b"[]," * 6000), 422),
    "many numbers": (JSON, b'{"x": [[%s1]]}' % (b"1," * 6000), 422),
    "many strings": (JSON, b'{"x": ["%s"%s]}' % (b"a" * 2000, b',""' * 4000), 422),
    "ragged": (JSON, b'{"x": [[1, 2, 3], [1, 2]]}', 422),
    "null": (JSON, b'{"x": null}', 422),
    "null inside": (JSON, b'{"x": [[1, 2, null]]}', 422),
    "a number": (JSON, b'{"x": 3}', 422),
    "strings": (JSON, b'{"x": [["1", "2", "3"]]}', 422),
    "booleans": (JSON, b'{"x": [[true, true, true]]}', 422),
    "wrong feature count": (JSON, b'{"x": [[1, 2, 3, 4]]}', 422),
    "one step alone": (JSON, b'{"x": [1, 2, 3]}', 422),
    "a batch": (JSON, b'{"x": [[[1, 2, 3]]]}', 422),
    "over the range of float32": (JSON, b'{"x": [[1, 2, 1e39]]}', 422),
    "over the range of float64": (JSON, b'{"x": [[1, 2, 1e999]]}', 400),
    "an integer over all": (JSON, b'{"x": [[1, 2, %s]]}' % (b"9" * 400), 400),
    "too many steps": (RAW, sequence(501).tobytes(), 422),
    "odd bytes": (RAW, bytes(13), 400),
    "infinite": (RAW, np.full(3, np.inf, np.float32).tobytes(), 422),
    "no .npy": (NPY, b"not one", 400),
    "half a .npy": (NPY, npy(sequence(5))[:-1], 400),
    "more than a .npy": (NPY, npy(sequence(5)) + b"0", 400),
    "a .npy that asks for terabytes": (NPY, npy(sequence(5)).replace(b"(5, 3)", b"(5000000000000, 3)"), 400),
    "a .npy of less than nothing": (NPY, npy(sequence(5)).replace(b"(5, 3)", b"(-5, -3)"), 400),
    "a .npy of objects": (NPY, npy(np.array([[None]])), 400),
    "a .npy of complex numbers": (NPY, npy(np.ones((2, 3), complex)), 400),
    "a .npy of records": (NPY, npy(np.zeros(3, [("a", "f4")])), 400),
    "a .npy with NaN": (NPY, npy(np.full((2, 3), np.nan)), 422),
    "another type": ("text/plain", b"1 2 3", 415),
}


class TestRefusals:
    @pytest.mark.parametrize("name", MALFORMED)
    def test_malformed(self, server, name):
        kind, body, status = MALFORMED[name]
        response = server.post(body, kind)
        assert (response.status_code, list(response.json())) == (status, ["error"])

    @pytest.mark.parametrize("announced", [True, False])
    def test_oversized(self, server, announced):
        body = b'{"x": "%s"}' % (b"1" * 1_000_000)
        parts = (body[k : k + 1000] for k in range(0, len(body), 1000))
        response = server.post(body if announced else parts)
        assert response.status_code == 413
        assert response.json() == {"error": "body: expected at most 20000 bytes"}

    def test_a_body_that_never_comes(self, server):
        """The client goes in the middle of it; the service goes on."""

        async def run():
            host, port = server.url.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /v1/sequences HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            await writer.drain()
            writer.transport.abort()

        asyncio.run(run())
        assert server.get("/healthz").text == "ok\n"

    def test_other_paths_and_methods(self, server):
        assert server.get("/").status_code == 404
        assert server.get("/v1/sequences").status_code == 405

    @pytest.mark.parametrize(
        ("frame", "code", "reason"),
        [
            (bytes(13), 1007, "multiple of 12 bytes"),
            (bytes(24), 1007, "frame"),
            (b"", 1007, "frame"),
            (np.full(3, np.nan, np.float32).tobytes(), 1007, "finite"),
            ("[1, 2, NaN]", 1007, "frame"),
            ("[1, 2]", 1007, "expected 3 numbers, got 2"),
            ('{"x": [1, 2, 3]}', 1007, "frame"),
            ("", 1007, "frame"),
            (bytes(24_000), 1009, "20000 bytes"),
            ("1" * 24_000, 1009, "20000 bytes"),
        ],
    )
    def test_frames(self, server, frame, code, reason):
        """Whoever sends a wrong one is told, and nobody else notices."""

        async def run():
            x = sequence(3)
            async with server.stream() as good, server.stream() as bad:
                await good.send(x[0].tobytes())
                answers = [await good.recv()]
                await asyncio.gather(good.send(x[1].tobytes()), bad.send(frame))
                answers.append(await good.recv())
                closed = await closing(bad)
                await good.send(x[2].tobytes())
                answers.append(await good.recv())
            assert b"".join(answers) == MODEL(x).tobytes()
            return closed

        got, why = asyncio.run(run())
        assert got == code
        assert reason in why

    def test_a_full_queue(self, tmp_path):
        with serving(tmp_path, max_queue=2, max_delay=1) as server:

            async def run():
                async with httpx.AsyncClient(timeout=SOON, trust_env=False) as client:
                    post = (
                        client.post(f"{server.url}/v1/sequences", content=as_body(JSON, sequence(3)))
                        for _ in range(6)
                    )
                    return await asyncio.gather(*post)

            responses = asyncio.run(run())
            assert sorted(response.status_code for response in responses) == [200, 200, 503, 503, 503, 503]
            refused = next(response for response in responses if response.status_code == 503)
            assert refused.headers["retry-after"] == "1"
            assert "expected fewer than 2 waiting sequences" in refused.json()["error"]


class TestSlots:
    @pytest.mark.parametrize("leave", ["close", "abort", "abort with a frame on its way"])
    def test_a_client_that_leaves_frees_its_own(self, tmp_path, leave):
        x = sequence(1)[0].tobytes()

        async def run(server):
            async with server.stream() as first, server.stream() as second:
                for websocket in (first, second):
                    await websocket.send(x)
                    await websocket.recv()
                async with server.stream() as third:
                    assert await closing(third) == (1013, "all 2 streams are in use")
                if leave == "close":
                    await second.close()
                else:
                    if "frame" in leave:
                        await second.send(x)
                    second.transport.abort()
                assert await asyncio.to_thread(server.wait_for, "fastlstm_streams_open", 1)
                async with server.stream() as third:  # and it begins at the beginning
                    await third.send(x)
                    assert await third.recv() == MODEL(sequence(1)).tobytes()

        with serving(tmp_path, max_streams=2) as server:
            asyncio.run(run(server))


@pytest.fixture(scope="module")
def example():
    """The example's modules, to be imported."""
    sys.path.insert(0, str(EXAMPLE))
    yield
    sys.path.remove(str(EXAMPLE))


@st.composite
def damaged_npy(draw):
    """A .npy file of which a part was replaced."""
    whole = npy(sequence(5))
    first, last = sorted(draw(st.tuples(st.integers(0, 130), st.integers(0, 130))))
    return whole[:first] + draw(st.binary(max_size=10)) + whole[last:]


def any_json():
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    nested = st.recursive(values, lambda inner: st.lists(inner, max_size=4))
    return nested.map(lambda x: json.dumps({"x": x}).encode())


@st.composite
def damaged_json(draw):
    """A body of JSON of which a part was replaced."""
    whole = as_body(JSON, sequence(3))
    first, last = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    part = st.binary(max_size=5) | st.sampled_from(
        [b"[" * 2000, b"9" * 400, b"1e39", b"NaN", b"{", b'"', b"null"]
    )
    return whole[:first] + draw(part) + whole[last:]


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, timeout=SOON, trust_env=False) as client:
        yield client


class TestFuzz:
    """Refused or answered, whatever comes, and the service lives on."""

    @settings(max_examples=200)
    @given(
        body=st.binary(max_size=40) | damaged_npy() | damaged_json() | any_json(),
        kind=st.sampled_from([JSON, RAW, NPY, "text/plain", ""]),
        method=st.sampled_from(["POST"] * 8 + ["GET", "PUT", "OPTIONS"]),
    )
    def test_bodies(self, client, body, kind, method):
        response = client.request(method, "/v1/sequences", content=body, headers={"content-type": kind})
        assert response.status_code in (200, 400, 405, 413, 415, 422)
        assert response.status_code in (200, 405) or list(response.json()) == ["error"]
        assert client.get("/healthz").text == "ok\n"

    @settings(max_examples=150)
    @given(
        frames=st.lists(
            st.just(sequence(1)[0].tobytes())
            | st.binary(max_size=30)
            | st.text(st.characters(codec="utf-8"), max_size=10)
            | damaged_json().map(lambda body: body[6:-1].decode(errors="replace"))
            | st.lists(st.integers() | st.floats(), max_size=4).map(json.dumps),
            min_size=1,
            max_size=4,
        )
    )
    def test_frames(self, server, client, frames):
        url = f"{server.url.replace('http', 'ws')}/v1/stream"
        connection = sync_client.connect(url, proxy=None, open_timeout=SOON)
        with connection as websocket, contextlib.suppress(ConnectionClosed):
            for frame in frames:
                websocket.send(frame)
                assert isinstance(websocket.recv(SOON), type(frame))
        assert websocket.close_code in (1000, 1007, 1009)
        assert client.get("/healthz").text == "ok\n"


@pytest.mark.usefixtures("example")
def test_description(server):
    """Has the routes that there are, what the model reads, and the statuses with which it refuses."""
    from app import app

    description = server.get("/openapi.json").json()
    routes = {route.path: route.methods - {"HEAD"} for route in app.routes if hasattr(route, "methods")}
    assert routes == {
        path: {method.upper() for method in operations} for path, operations in description["paths"].items()
    }
    x = description["components"]["schemas"]["Sequence"]["properties"]["x"]
    assert (x["maxItems"], x["items"]["minItems"], x["items"]["maxItems"]) == (500, 3, 3)
    told = description["paths"]["/v1/sequences"]["post"]["responses"]
    assert set(told) == {"200", "408", "413", "503"} | {str(status) for *_, status in MALFORMED.values()}


LIKELY = fastlstm.LSTM(40, 8, rng=0)
ROW = b"[" + b",".join([b"1.2345678"] * 40) + b"]"
HOSTILE = {
    "strings": b'{"x": ["%s"%s]}' % (b"a" * 2000, b',""' * 250_000),
    "lists": b'{"x": [%s[]]}' % (b"[]," * 330_000),
    "names": b'{"x": {%s"": 1}}' % (b'"": 1,' * 150_000),
    "deep": b'{"x": ' + b"[" * 1_000_000,
    "one digit after another": b'{"x": [[%s]]}' % (b"9" * 1_000_000),
    "refused at the end": b'{"x": [%s[1]]}' % ((ROW + b",") * 2500),
}
"""Bodies of almost a megabyte that are made to take more."""


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A server with the settings that it has by default."""
    with serving(tmp_path_factory.mktemp("usual"), LIKELY) as server:
        yield server


class TestNeighbours:
    """Nobody waits for long, whatever another one sends."""

    @linux
    @pytest.mark.parametrize("name", HOSTILE)
    def test_of_a_hostile_body(self, usual, name):
        """By hundreds of MB and seconds less than parsing it takes, however busy the machine is."""
        usual.get("/healthz")
        before, latencies, stop = usual.memory(), [], threading.Event()

        def attack():
            while not stop.is_set():
                assert usual.post(HOSTILE[name]).status_code in (400, 422)

        with ThreadPoolExecutor(3) as attackers, httpx.Client(trust_env=False, timeout=SOON) as client:
            attacks = [attackers.submit(attack) for _ in range(3)]
            for _ in range(30):
                begun = time.monotonic()
                assert client.get(f"{usual.url}/healthz").status_code == 200
                latencies.append(time.monotonic() - begun)
            stop.set()
        for attack in attacks:
            attack.result()
        assert np.median(latencies) < 0.2
        assert usual.memory() - before < 200e6

    def test_of_a_hostile_frame(self, usual):
        async def run(frame):
            async with usual.stream() as websocket:
                await websocket.send(frame)
                return await closing(websocket)

        for body in HOSTILE.values():
            assert asyncio.run(run(body[6:-1].decode()))[0] == 1007


def drained(connection):
    """Return all that comes until the server closes a connection; TimeoutError if it does not."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(1 << 16):
            received += data
    return received


def drip(connection, data, seconds=SOON):
    """Send a byte at a time until the server has closed; return what it said, or fail."""
    deadline = time.monotonic() + seconds
    connection.settimeout(0.05)
    received = b""
    while time.monotonic() < deadline:
        try:
            connection.sendall(data)
            if not (part := connection.recv(1 << 16)):
                return received
            received += part
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return received
    pytest.fail(f"still open after {seconds} seconds")


POST = b"POST /v1/sequences HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    seconds = {f"{name}_timeout": 0.5 for name in ("head", "body", "stream", "read", "idle")}
    with serving(
        tmp_path_factory.mktemp("impatient"), max_streams=4, max_connections=50, **seconds
    ) as server:
        yield server


class TestPatience:
    """Who takes too long loses the connection, and gives others its place."""

    @pytest.mark.parametrize("start", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "])
    def test_heads_that_never_end(self, impatient, start):
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(impatient.connect()) for _ in range(20)]
            for connection in connections:
                connection.sendall(start)
            for connection in connections:
                assert drained(connection) == b""

    def test_a_head_byte_by_byte(self, impatient):
        with impatient.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ")
            assert drip(connection, b"x") == b""

    def test_a_second_head_that_never_ends(self, impatient):
        with impatient.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET")
            assert b"200 OK" in drained(connection)

    def test_a_body_byte_by_byte(self, impatient):
        with impatient.connect() as connection:
            connection.sendall(POST + b"\r\n")
            answer = drip(connection, b" ")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"expected all of it within 0.5 seconds" in answer

    @pytest.mark.parametrize(
        ("head", "status"),
        [(b"Content-Length: 5000\r\nContent-Type: a", 415), (b"Content-Length: 10000000000", 413)],
    )
    def test_a_body_that_goes_on_after_its_answer(self, impatient, head, status):
        with impatient.connect() as connection:
            connection.sendall(b"POST /v1/sequences HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % head)
            assert drip(connection, b" ").startswith(b"HTTP/1.1 %d" % status)

    def test_silent_streams(self, impatient):
        async def run():
            async with contextlib.AsyncExitStack() as stack:
                silent = [await stack.enter_async_context(impatient.stream()) for _ in range(4)]
                for websocket in silent:
                    await websocket.send(sequence(1)[0].tobytes())
                    await websocket.recv()
                ends = await asyncio.gather(*map(closing, silent))
            async with impatient.stream() as websocket:
                await websocket.send(sequence(1)[0].tobytes())
                assert await websocket.recv() == MODEL(sequence(1)).tobytes()
            return ends

        assert asyncio.run(run()) == [(1008, "frame: expected one within 0.5 seconds")] * 4

    @linux
    def test_answers_that_nobody_reads(self, impatient):
        before = impatient.open_files()
        body = as_body(JSON, sequence(2000))
        post = POST.replace(b"10000", b"%d" % len(body)) + b"\r\n" + body
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(impatient.connect()) for _ in range(3)]
            for connection in connections:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.settimeout(1)
                with contextlib.suppress(TimeoutError, ConnectionError):
                    while True:
                        connection.sendall(post)
            deadline = time.monotonic() + SOON
            while impatient.open_files() > before and time.monotonic() < deadline:
                time.sleep(0.05)
            assert impatient.open_files() <= before

    def test_too_many_connections(self, impatient):
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stack.enter_context(impatient.connect())
            assert impatient.get("/healthz").status_code == 503
        deadline = time.monotonic() + SOON
        while impatient.get("/healthz").status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert impatient.get("/healthz").status_code == 200


def test_shutdown_waits_no_longer_than_it_should(tmp_path):
    """For a body, a head and a stream that never end."""
    with serving(tmp_path, graceful_timeout=0.5) as server:
        with server.connect() as body, server.connect() as head:
            body.sendall(POST + b"\r\n{")
            head.sendall(b"GET /")

            async def run():
                async with server.stream() as websocket:
                    await websocket.send(sequence(1)[0].tobytes())
                    await websocket.recv()
                    server.process.send_signal(signal.SIGTERM)
                    return await closing(websocket)

            assert asyncio.run(run())[0] == 1012
            begun = time.monotonic()
            server.process.wait(SOON)
            assert time.monotonic() - begun < 5
        server.log.write_text("")  # uvicorn tells of the request that it gave up


def test_shutdown_answers_what_was_accepted(tmp_path):
    with serving(tmp_path, max_delay=2) as server:
        x = sequence(30)

        async def run():
            async with (
                httpx.AsyncClient(timeout=SOON, trust_env=False) as client,
                server.stream() as websocket,
            ):
                await websocket.send(x[0].tobytes())
                assert await websocket.recv() == MODEL(x)[0].tobytes()
                url, body = f"{server.url}/v1/sequences", as_body(JSON, x)
                waiting = [asyncio.create_task(client.post(url, content=body)) for _ in range(20)]
                assert await asyncio.to_thread(server.wait_for, "fastlstm_queued", 20)
                server.process.send_signal(signal.SIGTERM)
                responses = await asyncio.gather(*waiting)
                return responses, (await closing(websocket))[0]

        responses, code = asyncio.run(run())
        assert {response.status_code for response in responses} == {200}
        assert {as_array(JSON, response).tobytes() for response in responses} == {MODEL(x).tobytes()}
        assert code == 1012
        server.process.wait(SOON)


@pytest.mark.usefixtures("example")
class TestWithoutMemory:
    """Each is asked to come again."""

    @pytest.fixture
    def app(self):
        from app import create_app
        from settings import Settings

        return create_app(Settings())

    @pytest.mark.parametrize(
        "where", ["sequences.read_sequence", "sequences.response", "fastlstm.serve.batches.predict"]
    )
    @pytest.mark.parametrize("steps", [1, 300])
    def test_sequences(self, app, monkeypatch, where, steps):
        def fail(*arguments, **options):
            raise MemoryError

        async def post():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                body = np.zeros((steps, 40), "<f4").tobytes()
                return await client.post("/v1/sequences", content=body, headers={"content-type": RAW})

        with monkeypatch.context() as patched:
            patched.setattr(where, fail)
            response = asyncio.run(post())
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert response.json() == {"error": "memory: expected enough of it"}
        assert asyncio.run(post()).status_code == 200

    @pytest.mark.parametrize(
        "where", ["streams.read_frame", "fastlstm.StreamPool.step", "fastlstm.StreamPool.open"]
    )
    def test_streams(self, app, monkeypatch, where):
        def fail(*arguments, **options):
            raise MemoryError

        async def answer():
            """Return what the application sends after a frame."""
            scope = {"type": "websocket", "path": "/v1/stream", "headers": [], "query_string": b""}
            received, sent = asyncio.Queue(), asyncio.Queue()
            async with app.router.lifespan_context(app):
                received.put_nowait({"type": "websocket.connect"})
                received.put_nowait({"type": "websocket.receive", "bytes": bytes(160)})
                running = asyncio.create_task(app(scope, received.get, sent.put))
                assert (await asyncio.wait_for(sent.get(), SOON))["type"] == "websocket.accept"
                message = await asyncio.wait_for(sent.get(), SOON)
                received.put_nowait({"type": "websocket.disconnect", "code": 1000})
                await running
                return message

        with monkeypatch.context() as patched:
            patched.setattr(where, fail)
            closed = asyncio.run(answer())
        assert (closed["code"], closed["reason"]) == (1013, "memory: expected enough of it")


@linux
@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_memory_stays_as_it_is(tmp_path, seconds):
    """Under sequences good and bad, streams that end in all ways, and clients that go without a word.

    What is warm after a third of the time grows by no more than 16 MB in the rest of it.
    """
    lengths = np.random.default_rng(0).integers(0, 500, 64)

    async def ask(client, k):
        kind = (JSON, RAW, NPY)[k % 3]
        body = as_body(kind, sequence(lengths[k % 64], k % 64)) if k % 5 else HOSTILE["strings"][: k % 3000]
        response = await client.post("/v1/sequences", content=body, headers={"content-type": kind})
        assert response.status_code in (200, 400, 422)

    async def give_up(client, k):
        task = asyncio.create_task(ask(client, k))
        await asyncio.sleep(0.001 * (k % 10))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def follow(server, k):
        async with server.stream() as websocket:
            for x_t in sequence(k % 20):
                await websocket.send(x_t.tobytes() if k % 2 else str(x_t.tolist()))
                await websocket.recv()
            if k % 3 == 0:
                websocket.transport.abort()
            elif k % 3 == 1:
                await websocket.send("[")
                await closing(websocket)

    async def soak(server, until):
        k = 0
        async with httpx.AsyncClient(base_url=server.url, timeout=SOON, trust_env=False) as client:
            while time.monotonic() < until:
                rounds = range(k, k + 16)
                await asyncio.gather(
                    *(ask(client, i) for i in rounds),
                    *(give_up(client, i) for i in rounds),
                    *(follow(server, i) for i in rounds),
                )
                k += 16

    with serving(tmp_path) as server:
        begun = time.monotonic()
        asyncio.run(soak(server, begun + seconds / 3))
        warm, files = server.memory(), server.open_files()
        asyncio.run(soak(server, begun + seconds))
        assert server.wait_for("fastlstm_streams_open", 0)
        assert server.metrics()[("fastlstm_queued",)] == 0
        print(f"{(server.memory() - warm) / 1e6:.1f} MB more")
        assert server.memory() - warm < 16e6
        assert server.open_files() <= files + 8


def test_health_and_metrics(server):
    assert server.get("/healthz").status_code == 200
    server.post(as_body(JSON, sequence(3)))
    metrics = server.metrics()
    assert metrics[("fastlstm_streams_capacity",)] == 64
    assert metrics[("fastlstm_queued",)] == 0
    count = metrics[("fastlstm_latency_seconds_count",)]
    assert count == metrics[("fastlstm_sequences_total", "answered")] >= 1
    assert metrics[("fastlstm_latency_seconds_bucket", "+Inf")] == count
    assert metrics[("fastlstm_batch_size_sum",)] == count


@pytest.mark.usefixtures("example")
class TestReading:
    @settings(max_examples=300)
    @given(
        st.one_of(
            st.tuples(st.sampled_from([JSON, RAW, NPY]), st.binary(max_size=40)),
            st.tuples(st.just(NPY), damaged_npy()),
            st.tuples(st.just(JSON), any_json()),
        ),
        st.booleans(),
    )
    def test_anything(self, typed_body, indices):
        """Either a sequence for the model, or a refusal with a sentence."""
        from bodies import Inputs, read_sequence

        inputs = Inputs(1, 10) if indices else Inputs(3)
        try:
            x = read_sequence(*typed_body, inputs, 100)
        except HTTPException as refused:
            status = refused.status_code
        else:
            status = 200
            assert x.shape[1:] == inputs.step_shape()
            assert np.isfinite(x).all()
        assert status in (200, 400, 422)

    def test_settings_are_written_down(self):
        from settings import PREFIX, Settings

        rows = re.findall(rf"\| `{PREFIX}(\w+)` \|([^|]*)\|", (EXAMPLE / "README.md").read_text())
        told = {name.lower(): default.strip() for name, default in rows}
        assert told == {
            name: f"{value:g}" if isinstance(value, float) else str(value)
            for name, value in vars(Settings()).items()
        }

    @pytest.mark.parametrize(
        "variables",
        [{"MAX_BODDY": "1"}, {"MAX_BODY": "many"}, {"MAX_BODY": "-1"}, {"MAX_DELAY": "nan"}],
    )
    def test_wrong_settings(self, variables):
        from settings import PREFIX, Settings

        with pytest.raises(ValueError, match=f"{PREFIX}{next(iter(variables))}: expected"):
            Settings.from_environment({PREFIX + name: value for name, value in variables.items()})

    def test_a_file_of_something_else(self, tmp_path):
        from settings import Settings

        path = tmp_path / "linear.safetensors"
        fastlstm.save(fastlstm.Linear(3, 2), path)
        with pytest.raises(
            TypeError, match="MODEL: expected LSTM, RNN, GRU, SLSTM or Sequential, got Linear"
        ):
            Settings(model=str(path)).load_model()
