"""The batcher: everyone gets the bits of a call alone, and nobody waits for what will not come."""

import asyncio
import gc
import os
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_processes import python, wait

import fastlstm
from fastlstm.serve import Batcher, QueueFull, worker

SOON = 30
"""Seconds after which something that should have happened has not."""


def stack(*readout, batch_first=False):
    return fastlstm.Sequential(
        fastlstm.Embedding(10, 4, rng=0),
        fastlstm.LSTM(4, 6, bidirectional=True, batch_first=batch_first, rng=0),
        *readout,
        fastlstm.Linear(12, 3, rng=0),
        fastlstm.Softmax(),
    )


MODELS = {
    "lstm": fastlstm.LSTM(3, 5, num_layers=2, bidirectional=True, rng=0),
    "batch_first float64 rnn": fastlstm.RNN(3, 4, batch_first=True, dtype="float64", rng=0),
    "gru": fastlstm.GRU(3, 5, bidirectional=True, rng=0),
    "slstm": fastlstm.SLSTM(3, 5, bidirectional=True, rng=0),
    "stack": stack(),
    "batch_first stack with a readout": stack(fastlstm.LastStep(), batch_first=True),
    "mean": stack(fastlstm.MeanOverTime()),
    "maximum": stack(fastlstm.MaxOverTime()),
    "any size of input": fastlstm.Sequential(fastlstm.Tanh(), fastlstm.LSTM(3, 5, rng=0)),
}


def sequence(model, length, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    if model.reads_indices:
        return rng.integers(0, 10, length)
    return rng.standard_normal((length, 3)).astype(dtype)


def alone(model, x):
    y = model(x)
    return y if isinstance(model, fastlstm.Sequential) else y[0]


@pytest.fixture
def held(monkeypatch):
    """A model whose passes wait until they may run, and what lets them."""
    model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0))
    may_run, run = threading.Event(), model.run
    model.begun = threading.Semaphore(0)

    def run_when_let(*arguments, **options):
        model.begun.release()
        assert may_run.wait(SOON)
        return run(*arguments, **options)

    monkeypatch.setattr(model, "run", run_when_let)
    yield model, may_run
    may_run.set()


class TestBits:
    @settings(max_examples=60)
    @given(
        name=st.sampled_from(sorted(MODELS)),
        requests=st.lists(
            st.tuples(st.integers(0, 9), st.sampled_from([np.float32, np.float64])), min_size=1, max_size=12
        ),
        max_batch=st.integers(1, 12),
        max_steps=st.none() | st.integers(1, 30),
    )
    def test_in_any_company(self, name, requests, max_batch, max_steps):
        model = MODELS[name]
        xs = [sequence(model, length, seed, dtype) for seed, (length, dtype) in enumerate(requests)]
        with Batcher(model, max_batch, 0.001, max_steps=max_steps) as batcher:
            futures = [batcher.submit(x) for x in xs]
        for x, future in zip(xs, futures, strict=True):
            expected, y = alone(model, x), future.result(0)
            assert (y.shape, y.dtype, y.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())
            assert y.base is None  # nothing keeps the batch alive

    def test_from_many_threads(self):
        model = MODELS["lstm"]
        xs = [sequence(model, seed % 7, seed) for seed in range(200)]
        with Batcher(model, max_batch=16) as batcher, ThreadPoolExecutor(16) as threads:
            ys = list(threads.map(lambda x: batcher.submit(x).result(SOON), xs))
        assert [y.tobytes() for y in ys] == [alone(model, x).tobytes() for x in xs]
        assert batcher.metrics.answered == 200

    def test_of_weights_that_change_meanwhile(self, monkeypatch):
        """A batch ends with the weights it began with, the next one has the new."""
        model, other = (
            fastlstm.Sequential(
                fastlstm.LSTM(3, 4, rng=seed), fastlstm.Tanh(), fastlstm.Linear(4, 2, rng=seed)
            )
            for seed in range(2)
        )
        x = sequence(model, 12)
        old, new = model(x).tobytes(), other(x).tobytes()
        between = model.layers[1]
        evaluate = between._evaluate

        def change_and_evaluate(rows, weights):
            model.load_state_dict(other.state_dict())
            return evaluate(rows, weights)

        monkeypatch.setattr(between, "_evaluate", change_and_evaluate)
        with Batcher(model, max_batch=3, max_delay=1000) as batcher:
            for expected in (old, new):
                ys = [batcher.submit(x) for _ in range(3)]
                assert {y.result(SOON).tobytes() for y in ys} == {expected}

    def test_the_callers_array_is_its_own_again(self, held):
        model, may_run = held
        x = sequence(model, 4)
        with Batcher(model) as batcher:
            future = batcher.submit(x)
            expected = fastlstm.Sequential(*model.layers)(x)
            x[...] = 7
            may_run.set()
            assert future.result(SOON).tobytes() == expected.tobytes()


class TestBatches:
    def sizes(self, batcher):
        return dict(batcher.metrics.batch_sizes)

    def test_a_full_batch_leaves_at_once(self):
        model = MODELS["lstm"]
        with Batcher(model, max_batch=4, max_delay=1000) as batcher:
            for future in [batcher.submit(sequence(model, 5)) for _ in range(8)]:
                future.result(SOON)
            assert self.sizes(batcher) == {4: 2}
            batcher.submit(sequence(model, 5))  # closing does not wait for company
        assert self.sizes(batcher) == {1: 1, 4: 2}

    def test_the_oldest_waits_no_longer_than_it_should(self):
        model = MODELS["lstm"]
        with Batcher(model, max_batch=100, max_delay=0.2) as batcher:
            begun = time.monotonic()
            first = batcher.submit(sequence(model, 5))
            while not first.done():  # who comes later does not make it wait longer
                batcher.submit(sequence(model, 5))
                time.sleep(0.05)
            assert 0.2 <= time.monotonic() - begun < SOON

    def test_what_can_not_stand_in_one_array(self, held):
        model, may_run = held
        with Batcher(model, max_batch=10) as batcher:
            batcher.submit(sequence(model, 1))
            assert model.begun.acquire(timeout=SOON)
            for dtype in (np.float32, np.float64, np.float32):
                batcher.submit(sequence(model, 2, dtype=dtype))
            may_run.set()
        assert self.sizes(batcher) == {1: 2, 2: 1}

    def test_a_long_one_does_not_pad_the_others(self, held):
        model, may_run = held
        with Batcher(model, max_batch=10, max_steps=20) as batcher:
            batcher.submit(sequence(model, 1))
            assert model.begun.acquire(timeout=SOON)
            for length in (5, 100, 5, 5, 5, 5):
                batcher.submit(sequence(model, length))
            may_run.set()
        assert self.sizes(batcher) == {1: 3, 4: 1}


class TestAsyncio:
    def test_many_tasks(self):
        model = MODELS["stack"]
        xs = [sequence(model, seed % 7, seed) for seed in range(100)]

        async def run():
            async with Batcher(model, max_batch=16) as batcher:
                return await asyncio.gather(*map(batcher, xs))

        assert [y.tobytes() for y in asyncio.run(run())] == [alone(model, x).tobytes() for x in xs]

    def test_a_cancelled_task_is_left_out(self, held):
        model, may_run = held

        async def run():
            async with Batcher(model) as batcher:
                first = asyncio.create_task(batcher(sequence(model, 3)))
                await asyncio.to_thread(model.begun.acquire, timeout=SOON)
                given_up, kept = (asyncio.create_task(batcher(sequence(model, 3))) for _ in range(2))
                await asyncio.sleep(0)
                given_up.cancel()
                first.cancel()  # too late: its batch runs, and its result goes nowhere
                await asyncio.gather(first, given_up, return_exceptions=True)
                may_run.set()
                return (await kept).shape, batcher.metrics

        shape, metrics = asyncio.run(run())
        assert shape == (3, 5)
        assert (metrics.answered, metrics.cancelled, dict(metrics.batch_sizes)) == (2, 1, {1: 2})

    def test_wrong_input_and_a_full_queue(self, held):
        model, may_run = held

        async def run():
            async with Batcher(model, max_queue=1, max_delay=100) as batcher:
                with pytest.raises(ValueError, match="x: expected shape"):
                    await batcher(np.ones(3))
                waiting = asyncio.create_task(batcher(sequence(model, 3)))
                await asyncio.sleep(0)
                with pytest.raises(QueueFull):
                    await batcher(sequence(model, 3))
                may_run.set()
                batcher.close(wait=False)
                return await waiting

        assert asyncio.run(run()).shape == (3, 5)


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "x", "error", "sentence"),
        [
            ("lstm", np.ones((7, 4)), ValueError, r"x: expected shape \(T, 3\), got \(7, 4\)"),
            ("lstm", np.ones((2, 7, 3)), ValueError, r"x: expected shape \(T, 3\)"),
            ("lstm", np.ones((7, 3), int), TypeError, "x: expected an array of floats"),
            ("lstm", [[1.0], [1.0, 2.0]], TypeError, "x: expected an array, got list"),
            ("any size of input", np.ones((7, 4)), ValueError, r"x: expected shape \(T, 3\)"),
            ("stack", np.ones(7), TypeError, "x: expected an array of integers"),
            ("stack", np.ones((7, 2), int), ValueError, r"x: expected shape \(T,\), got \(7, 2\)"),
            ("stack", np.array([3, 10]), ValueError, "x: expected indices from 0 to 9, got 10"),
        ],
    )
    def test_wrong_input_never_gets_into_a_batch(self, name, x, error, sentence):
        model = MODELS[name]
        with Batcher(model, max_batch=2, max_delay=0.05) as batcher:
            good = batcher.submit(sequence(model, 3))
            with pytest.raises(error, match=sentence):
                batcher.submit(x)
            assert len(good.result(SOON)) == 3
        assert dict(batcher.metrics.batch_sizes) == {1: 1}

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"model": fastlstm.Linear(2, 3, rng=0)}, TypeError),
            ({"max_batch": 0}, ValueError),
            ({"max_batch": 1.5}, TypeError),
            ({"max_delay": -1}, ValueError),
            ({"max_delay": float("inf")}, ValueError),
            ({"max_delay": float("nan")}, ValueError),
            ({"max_queue": 0}, ValueError),
            ({"max_steps": 0}, ValueError),
        ],
    )
    def test_wrong_options(self, options, error):
        with pytest.raises(error, match=f"{next(iter(options))}: expected"):
            Batcher(**({"model": MODELS["lstm"]} | options))

    def test_a_full_queue(self, held):
        model, may_run = held
        with Batcher(model, max_batch=1, max_queue=3) as batcher:
            batcher.submit(sequence(model, 3))
            assert model.begun.acquire(timeout=SOON)
            waiting = [batcher.submit(sequence(model, 3)) for _ in range(3)]
            with pytest.raises(QueueFull, match="submit: expected fewer than 3 waiting sequences, got 3"):
                batcher.submit(sequence(model, 3))
            assert waiting[1].cancel()  # which makes room
            waiting.append(batcher.submit(sequence(model, 3)))
            metrics = batcher.metrics
            assert (metrics.queued, metrics.running, metrics.refused, metrics.cancelled) == (3, 1, 1, 1)
            may_run.set()
        metrics = batcher.metrics
        assert (metrics.queued, metrics.running, metrics.answered, metrics.failed) == (0, 0, 4, 0)


class TestCancellation:
    def test_before_its_batch_begins(self, held):
        model, may_run = held
        with Batcher(model) as batcher:
            running = batcher.submit(sequence(model, 3))
            assert model.begun.acquire(timeout=SOON)
            waiting = [batcher.submit(sequence(model, 3)) for _ in range(3)]
            assert not running.cancel()
            assert waiting[1].cancel()
            may_run.set()
        assert len(running.result(0)) == len(waiting[0].result(0)) == len(waiting[2].result(0)) == 3
        with pytest.raises(CancelledError):
            waiting[1].result(0)
        metrics = batcher.metrics
        assert (metrics.answered, metrics.cancelled, dict(metrics.batch_sizes)) == (3, 1, {1: 1, 2: 1})

    def test_of_all_that_wait(self, held):
        model, may_run = held
        with Batcher(model) as batcher:
            batcher.submit(sequence(model, 3))
            assert model.begun.acquire(timeout=SOON)
            assert all(batcher.submit(sequence(model, 3)).cancel() for _ in range(3))
            may_run.set()
        assert (batcher.metrics.answered, batcher.metrics.cancelled) == (1, 3)


class TestFailures:
    def test_go_to_whom_they_belong(self, monkeypatch):
        model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0))
        run = model.run

        def fail_on_seven(x, *arguments, **options):
            if (x == 7).any():
                raise MemoryError("no room")
            return run(x, *arguments, **options)

        monkeypatch.setattr(model, "run", fail_on_seven)
        xs = [sequence(model, length) for length in (4, 2, 5)]
        xs[1][...] = 7
        with Batcher(model, max_batch=3, max_delay=1000) as batcher:
            futures = [batcher.submit(x) for x in xs]
            with pytest.raises(MemoryError, match="no room"):
                futures[1].result(SOON)
            assert [len(futures[k].result(SOON)) for k in (0, 2)] == [4, 5]
            for x in xs:  # and the next batch is as any other
                batcher.submit(x)
        metrics = batcher.metrics
        assert (metrics.answered, metrics.failed, metrics.latency.count) == (4, 2, 4)

    def test_not_a_number_is_nobody_elses(self):
        model = MODELS["lstm"]
        xs = [sequence(model, 4), np.full((4, 3), np.nan, np.float32)]
        with Batcher(model) as batcher:
            good, bad = [batcher.submit(x) for x in xs]
        assert good.result(0).tobytes() == alone(model, xs[0]).tobytes()
        assert np.isnan(bad.result(0)).all()


def raising(error):
    def function(*arguments, **options):
        raise error

    return function


ENDS = [SystemExit(1), KeyboardInterrupt(), GeneratorExit()]
"""What ends a program, a thread or a generator, and is no `Exception`."""


class TestWhateverHappensToOne:
    """The others are answered, and so is who comes later."""

    def check_goes_on(self, batcher, *others):
        x = sequence(MODELS["lstm"], 3)
        for future in (*others, batcher.submit(x)):
            assert len(future.result(SOON)) == 3

    @pytest.mark.parametrize("error", ENDS, ids=repr)
    def test_a_callback_that_raises(self, held, error, caplog):
        model, may_run = held
        with Batcher(model, max_batch=3, max_delay=1000) as batcher:
            futures = [batcher.submit(sequence(model, 3)) for _ in range(3)]
            futures[1].add_done_callback(raising(error))
            may_run.set()
            for future in futures:
                assert len(future.result(SOON)) == 3
            batcher.close()
        assert "exception calling callback" in caplog.text

    @pytest.mark.parametrize("when", ["while it waits", "while it runs"])
    @pytest.mark.parametrize(
        "meddle",
        [
            lambda future: future.set_result("mine"),
            lambda future: future.set_exception(ValueError("mine")),
            lambda future: future.cancel() and future.set_running_or_notify_cancel(),
        ],
        ids=["result", "exception", "cancelled"],
    )
    def test_a_future_that_its_owner_sets(self, held, when, meddle):
        model, may_run = held
        with Batcher(model, max_batch=2) as batcher:
            batcher.submit(sequence(model, 3))
            assert model.begun.acquire(timeout=SOON)
            futures = [batcher.submit(sequence(model, 3)) for _ in range(2)]
            if when == "while it runs":
                may_run.set()
                futures[1].result(SOON)
                may_run.clear()
                futures = [batcher.submit(sequence(model, 3)) for _ in range(2)]
                for _ in range(2):
                    assert model.begun.acquire(timeout=SOON)
            meddle(futures[0])
            may_run.set()
            self.check_goes_on(batcher, futures[1])

    def test_a_future_that_its_owner_marks_as_running(self, held):
        model, may_run = held
        with Batcher(model) as batcher:
            batcher.submit(sequence(model, 3))
            assert model.begun.acquire(timeout=SOON)
            future = batcher.submit(sequence(model, 3))
            future.set_running_or_notify_cancel()
            may_run.set()
            self.check_goes_on(batcher, future)

    @pytest.mark.parametrize("error", [*ENDS, MemoryError("no room")], ids=repr)
    def test_a_pass_that_raises(self, monkeypatch, error):
        model = fastlstm.Sequential(fastlstm.LSTM(3, 5, rng=0))
        run = model.run

        def fail_on_seven(x, *arguments, **options):
            if (x == 7).any():
                raise error
            return run(x, *arguments, **options)

        monkeypatch.setattr(model, "run", fail_on_seven)
        with Batcher(model, max_batch=3, max_delay=0.01) as batcher:
            good, bad, fine = (
                batcher.submit(np.full((3, 3), value, np.float32)) for value in (1.0, 7.0, 2.0)
            )
            reason = bad.exception(SOON)
            assert error in (reason, reason.__cause__)
            assert isinstance(reason, Exception)  # or it would end the event loop that waits for it
            self.check_goes_on(batcher, good, fine)
        assert (batcher.metrics.answered, batcher.metrics.failed) == (3, 1)

    @pytest.mark.parametrize("function", ["next_batch", "answers", "settle"])
    @pytest.mark.parametrize("error", [*ENDS, MemoryError("no room")], ids=repr)
    def test_a_thread_that_fails(self, monkeypatch, function, error):
        """In what it does for all: those that it has are told."""
        working = getattr(worker, function)
        failed = threading.Event()

        def fail_once(*arguments):
            if failed.is_set():
                return working(*arguments)
            failed.set()
            raise error

        monkeypatch.setattr(worker, function, fail_once)
        with Batcher(MODELS["lstm"], max_batch=2, max_delay=1000) as batcher:
            futures = [batcher.submit(np.ones((3, 3))) for _ in range(2)]
            for future in futures:
                reason = future.exception(SOON)
                assert error in (reason, reason.__cause__)
            self.check_goes_on(batcher, batcher.submit(sequence(MODELS["lstm"], 3)))
            metrics = batcher.metrics
            assert (metrics.queued, metrics.running) == (0, 0)


class TestThread:
    @pytest.fixture
    def dead(self, monkeypatch):
        """A batcher whose thread has ended with a request unanswered, and whatever kills it."""
        batcher = Batcher(MODELS["lstm"], max_delay=0)
        with monkeypatch.context() as patched:
            patched.setattr(worker, "next_batch", raising(MemoryError()))
            patched.setattr(worker.Worker, "_fail", raising(SystemExit()))
            patched.setattr(threading, "excepthook", lambda _: None)
            before = set(threading.enumerate())
            batcher.submit(np.ones((3, 3)))
            for thread in set(threading.enumerate()) - before:
                thread.join(SOON)
                assert not thread.is_alive()
        return batcher

    def test_a_dead_one_is_replaced(self, dead):
        with dead as batcher:
            assert len(batcher.submit(np.ones((3, 3))).result(SOON)) == 3

    @pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
    def test_a_dead_one_is_replaced_after_a_fork(self, dead):
        child = os.fork()
        if child == 0:
            fine = len(dead.submit(np.ones((3, 3))).result(SOON)) == 3
            dead.close()
            os._exit(0 if fine else 1)
        assert wait(child) == 0

    def test_closing_answers_what_a_dead_one_left(self, dead):
        request = worker.Request(np.ones((3, 3), np.float32))
        dead._worker._waiting.append(request)
        dead.close()
        assert len(request.future.result(0)) == 3

    def test_one_that_can_not_start(self, monkeypatch):
        batcher = Batcher(MODELS["lstm"])
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
            with pytest.raises(RuntimeError, match="can't start new thread"):
                batcher.submit(np.ones((3, 3)))
            batcher.close(wait=False)
            assert batcher.metrics.queued == 0
        batcher = Batcher(MODELS["lstm"])
        with batcher:
            with monkeypatch.context() as patched:
                patched.setattr(threading.Thread, "start", raising(RuntimeError("can't start new thread")))
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    batcher.submit(np.ones((3, 3)))
            assert len(batcher.submit(np.ones((3, 3))).result(SOON)) == 3

    @pytest.mark.parametrize("fails", [False, True])
    def test_one_that_takes_long_to_start(self, monkeypatch, fails):
        """Nobody but its starter waits for that, and `close` for what was accepted."""
        starting, may_start, start = threading.Event(), threading.Event(), threading.Thread.start

        def start_when_let(thread):
            if thread.name == "fastlstm batcher":
                starting.set()
                assert may_start.wait(SOON)
                if fails:
                    raise RuntimeError("can't start new thread")
            start(thread)

        with ThreadPoolExecutor(2) as callers:
            batcher = Batcher(MODELS["lstm"])
            callers.submit(time.sleep, 0.01), callers.submit(time.sleep, 0.01)  # both threads are there
            monkeypatch.setattr(threading.Thread, "start", start_when_let)
            first = callers.submit(batcher.submit, np.ones((3, 3)))
            assert starting.wait(SOON)
            second = callers.submit(batcher.submit, np.ones((3, 3))).result(SOON)
            closed = callers.submit(batcher.close)
            assert batcher.metrics.queued == 2
            assert not closed.done()
            may_start.set()
            closed.result(SOON)
            if fails:
                assert isinstance(first.exception(SOON), RuntimeError)
                assert isinstance(second.exception(SOON), RuntimeError)
            else:
                assert len(first.result(SOON).result(0)) == len(second.result(0)) == 3

    @pytest.mark.parametrize("close", [False, True])
    def test_callbacks_that_come_back(self, close):
        again = []

        def submit_and_close(future):
            again.append(batcher.submit(np.ones((2, 3))))
            if close:
                batcher.close()

        with Batcher(MODELS["lstm"], max_delay=0.01) as batcher:
            batcher.submit(np.ones((3, 3))).add_done_callback(submit_and_close)
            deadline = time.monotonic() + SOON
            while not again and time.monotonic() < deadline:
                time.sleep(0.001)
            assert len(again[0].result(SOON)) == 2


class TestEnd:
    def test_what_was_accepted_is_answered(self, held):
        model, may_run = held
        batcher = Batcher(model, max_batch=2, max_delay=1000)
        futures = [batcher.submit(sequence(model, 3)) for _ in range(5)]
        batcher.close(wait=False)
        with pytest.raises(RuntimeError, match="submit: expected a batcher that is open"):
            batcher.submit(sequence(model, 3))
        may_run.set()
        batcher.close()
        assert [len(future.result(0)) for future in futures] == [3] * 5
        batcher.close()

    def test_without_a_request(self):
        before = threading.active_count()
        with Batcher(MODELS["lstm"]) as batcher:
            assert threading.active_count() == before
        with pytest.raises(RuntimeError, match="open"):
            batcher.submit(np.ones((2, 3)))

    def test_from_a_callback(self):
        batcher = Batcher(MODELS["lstm"])
        future = batcher.submit(np.ones((2, 3)))
        closed = threading.Event()
        future.add_done_callback(lambda _: (batcher.close(), closed.set()))
        assert closed.wait(SOON)

    def test_a_forgotten_one_ends(self):
        batcher = Batcher(fastlstm.LSTM(3, 5, rng=0), max_delay=0.1)
        before = set(threading.enumerate())
        future = batcher.submit(np.ones((2, 3)))
        (thread,) = set(threading.enumerate()) - before
        gone = weakref.ref(batcher)
        del batcher
        gc.collect()
        assert gone() is None
        assert len(future.result(SOON)) == 2
        thread.join(SOON)
        assert not thread.is_alive()

    def test_an_idle_one_keeps_no_arrays(self):
        with Batcher(MODELS["lstm"]) as batcher:
            y = batcher.submit(np.ones((2, 3))).result(SOON)
            gone = weakref.ref(y)
            del y
            deadline = time.monotonic() + SOON
            while gone() is not None and time.monotonic() < deadline:
                time.sleep(0.001)
            assert gone() is None

    @pytest.mark.parametrize("keep", ["batcher = ", ""])
    def test_of_the_interpreter(self, keep):
        """It does not hang, and what was accepted is answered."""
        code = f"""
import numpy as np, fastlstm
from fastlstm.serve import Batcher
{keep}batcher = Batcher(fastlstm.LSTM(3, 5, rng=0), max_delay=1000)
batcher.submit(np.ones((2, 3))).add_done_callback(lambda future: print(future.result().shape))
"""
        assert python(code) == "(2, 5)"

    def test_nothing_starts_before_it_is_wanted(self):
        code = """
import threading, fastlstm, fastlstm.serve
batcher = fastlstm.serve.Batcher(fastlstm.LSTM(3, 5, rng=0))
print(threading.active_count())
"""
        assert python(code) == "1"


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
class TestFork:
    """As under a server that loads in the parent and serves in its children."""

    def test_after_use_in_the_parent(self, threads):
        fastlstm.set_num_threads(2)
        model = fastlstm.LSTM(64, 128, rng=0)
        x = np.random.default_rng(0).standard_normal((60, 64)).astype(np.float32)
        expected = model(x)[0].tobytes()
        batcher = Batcher(model)

        def serve():
            futures = [batcher.submit(x) for _ in range(40)]
            return all(future.result(SOON).tobytes() == expected for future in futures)

        assert serve()
        child = os.fork()
        if child == 0:
            fine = batcher.metrics.answered == 0 and serve() and batcher.metrics.answered == 40
            batcher.close()
            os._exit(0 if fine else 1)
        assert serve()
        assert wait(child) == 0
        assert batcher.metrics.answered == 80
        batcher.close()

    def test_while_others_submit_and_batches_run(self):
        model = MODELS["lstm"]
        x = sequence(model, 20)
        expected = alone(model, x).tobytes()
        stop = threading.Event()
        with Batcher(model, max_delay=0.0005) as batcher:

            def submit_often():
                while not stop.is_set():
                    assert batcher.submit(x).result(SOON).tobytes() == expected

            with ThreadPoolExecutor(4) as clients:
                running = [clients.submit(submit_often) for _ in range(4)]
                try:
                    for _ in range(10):
                        child = os.fork()
                        if child == 0:
                            fine = batcher.submit(x).result(SOON).tobytes() == expected
                            batcher.close()
                            os._exit(0 if fine else 1)
                        assert wait(child) == 0
                finally:
                    stop.set()
            for client in running:
                client.result(SOON)


def test_metrics_are_a_snapshot():
    model = MODELS["lstm"]
    with Batcher(model) as batcher:
        before = batcher.metrics
        batcher.submit(sequence(model, 3)).result(SOON)
        after = batcher.metrics
    assert (before.answered, after.answered) == (0, 1)
    assert (before.latency.count, after.latency.count) == (0, 1)
    assert len(after.latency.counts) == len(after.latency.bounds) + 1
    assert 0 < after.latency.total < SOON


def test_latencies_fall_under_their_bounds():
    model = MODELS["lstm"]
    with Batcher(model, max_delay=0.06) as batcher:
        batcher.submit(sequence(model, 3)).result(SOON)
        latency = batcher.metrics.latency
    (at,) = np.flatnonzero(latency.counts)
    upper = (*latency.bounds, np.inf)[at]
    assert upper >= 0.06
    assert latency.bounds[at - 1] < latency.total <= upper
