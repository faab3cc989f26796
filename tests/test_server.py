"""The service of examples/server, started for real and driven by real clients."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
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

import fastlstm  # noqa: E402

EXAMPLE = Path(__file__).parents[1] / "examples" / "server"
pytestmark = pytest.mark.skipif(not EXAMPLE.is_dir(), reason="the examples are not here")

SOON = 30
JSON, RAW, NPY = "application/json", "application/octet-stream", "application/x-npy"
MODEL = fastlstm.Sequential(fastlstm.LSTM(3, 16, rng=0), fastlstm.Linear(16, 2, rng=0))
TAGGER = fastlstm.Sequential(fastlstm.Embedding(10, 4, rng=0), fastlstm.LSTM(4, 6, rng=0))


class Server:
    """The service in a process of its own."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        for line in process.stderr:
            self.lines.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                self.url = found[1]
                return
        pytest.fail("".join(self.lines))

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

    def stop(self):
        """Ask it to end; return what it still had to say."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=SOON)
        return said


@contextlib.contextmanager
def serving(folder, model=MODEL, **limits):
    path = folder / "model.safetensors"
    fastlstm.save(model, path)
    given = {"model": path, **limits}
    variables = {f"FASTLSTM_SERVER_{name.upper()}": str(value) for name, value in given.items()}
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "app:app",
        "--app-dir",
        str(EXAMPLE),
        "--port",
        "0",
        "--no-access-log",
    ]
    process = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
    try:
        server = Server(process)
        yield server
        if process.poll() is None:
            said = server.stop()
            assert "Traceback" not in said, said
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


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
    "nested deep": (JSON, b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    "nested deeper than arrays": (JSON, b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}", 400),
    "ragged": (JSON, b'{"x": [[1, 2, 3], [1, 2]]}', 400),
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
            ("[1, 2]", 1007, "expected shape"),
            ('{"x": [1, 2, 3]}', 1007, "frame"),
            ("", 1007, "frame"),
            (bytes(24_000), 1009, "at most 20000 bytes"),
            ("1" * 24_000, 1009, "at most 20000 bytes"),
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
        from bodies import Inputs, as_sequence, read_array

        inputs = Inputs(1, 10) if indices else Inputs(3)
        try:
            x = as_sequence(read_array(*typed_body, inputs), inputs, 100)
        except HTTPException as refused:
            status = refused.status_code
        else:
            status = 200
            assert x.shape[1:] == inputs.step_shape()
            assert np.isfinite(x).all()
        assert status in (200, 400, 422)

    @pytest.mark.parametrize(
        "variables",
        [{"MAX_BODDY": "1"}, {"MAX_BODY": "many"}, {"MAX_BODY": "-1"}, {"MAX_DELAY": "nan"}],
    )
    def test_wrong_settings(self, variables):
        from settings import PREFIX, Settings

        with pytest.raises(ValueError, match=f"{PREFIX}{next(iter(variables))}: expected"):
            Settings.from_environment({PREFIX + name: value for name, value in variables.items()})
