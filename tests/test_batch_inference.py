"""The example that runs a model on a folder of Parquet files: over Dask, over joblib, in one process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastlstm
from fastlstm.training import predict

pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install '.[parquet]'")
pytest.importorskip("distributed", reason="needs dask: pip install '.[parquet]'")
pq = pytest.importorskip("pyarrow.parquet")

EXAMPLE = Path(__file__).parents[1] / "examples" / "batch_inference_dask.py"
FILES, SEQUENCES, SIZE, ROWS = 12, 60, 3, 25


@pytest.fixture(scope="module")
def example():
    """Return the example as a module that workers can import, too."""
    sys.path.insert(0, str(EXAMPLE.parent))
    try:
        yield __import__(EXAMPLE.stem)
    finally:
        sys.path.remove(str(EXAMPLE.parent))


def write(path, sequences):
    flat = [sequence.ravel() for sequence in sequences]
    offsets = np.cumsum([0, *map(len, flat)], dtype=np.int32)
    x = pa.ListArray.from_arrays(offsets, np.concatenate(flat))
    pq.write_table(pa.table({"id": np.arange(len(flat)), "x": x}), path, row_group_size=40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a model, and one with files of sequences of 0 to 60 steps."""
    folder, rng = tmp_path_factory.mktemp("batch"), np.random.default_rng(0)
    model = fastlstm.Sequential(
        fastlstm.LSTM(SIZE, 64, 2, bidirectional=True, rng=rng), fastlstm.Linear(128, 2, rng=rng)
    )
    fastlstm.save(model, folder / "model")
    (folder / "in").mkdir()
    for k in range(FILES):
        lengths = rng.integers(0, 60, SEQUENCES)
        write(
            folder / "in" / f"part-{k}.parquet",
            [rng.standard_normal((length, SIZE)).astype(np.float32) for length in lengths],
        )
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    """Return what one process gives, file by file: each sequence for itself."""
    model, found = fastlstm.load(folder / "model"), {}
    for path in (folder / "in").iterdir():
        table = pq.read_table(path)
        x = [np.array(numbers, np.float32).reshape(-1, SIZE) for numbers in table["x"].to_pylist()]
        found[path.name] = [y.tobytes() for sequence in x for y in predict(model, [sequence])]
    return found


def results(target):
    """Return the bytes of each sequence's output by file."""
    found = {}
    for path in target.iterdir():
        table = pq.read_table(path)
        assert table["id"].to_pylist() == list(range(SEQUENCES))
        found[path.name] = [np.array(y, np.float32).tobytes() for y in table["y"].to_pylist()]
    return found


def test_a_worker_dies_and_the_bits_are_those_of_one_process(example, folder, alone, tmp_path):
    from distributed import Client, LocalCluster

    counts, killed = [], []
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit="1GiB")
    with cluster, Client(cluster) as client:
        client.run(sys.path.insert, 0, str(EXAMPLE.parent))

        def kill_one(count):
            counts.append(count)
            if not killed:  # the first file is written, and both are at work on others
                busy = {address: keys for address, keys in client.processing().items() if keys}
                pids = client.run(os.getpid, workers=[*busy])
                killed.append(pids.popitem()[1])
                os.kill(killed[0], signal.SIGKILL)

        example.over_dask(client, folder / "model", folder / "in", tmp_path / "out", ROWS, done=kill_one)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(pids := client.run(os.getpid).values()) < 2:
            time.sleep(0.1)
        assert killed[0] not in pids
    assert sum(counts) == FILES * SEQUENCES
    assert results(tmp_path / "out") == alone


def test_over_joblib(folder, alone, tmp_path):
    command = [sys.executable, EXAMPLE, folder / "model", folder / "in", tmp_path / "out"]
    command += ["--joblib", "--workers", "2", "--rows", "7"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{FILES * SEQUENCES} sequences in {FILES} files\n"
    assert results(tmp_path / "out") == alone


def test_no_more_than_some_rows_are_held(tmp_path):
    """48 MB take no more memory than some of them."""
    fastlstm.save(fastlstm.LSTM(SIZE, 2, rng=0), tmp_path / "model")
    x = np.random.default_rng(0).standard_normal((50, 200, SIZE)).astype(np.float32)
    peaks = []
    for times in (4, 400):
        write(tmp_path / "x.parquet", [*x] * times)
        # Not ru_maxrss, which a process inherits from the one that started it.
        code = rf"""
import re, runpy
infer = runpy.run_path({str(EXAMPLE)!r})["infer_partition"]
assert infer("model", "x.parquet", "y.parquet", {ROWS}) == {50 * times}
print(re.search(r"VmHWM:\s*(\d+) kB", open("/proc/self/status").read())[1])
"""
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        peaks.append(int(run.stdout) << 10)
    assert peaks[1] - peaks[0] < x.nbytes * 400 / 4


def test_a_partition_is_there_whole_or_not_at_all(example, folder, tmp_path):
    bad = tmp_path / "bad.parquet"
    write(bad, [np.ones((5, SIZE), np.float32)] * 30 + [np.ones((5, SIZE + 1), np.float32)])
    with pytest.raises(ValueError, match="reshape"):
        example.infer_partition(folder / "model", bad, tmp_path / "y.parquet", 10)
    assert not (tmp_path / "y.parquet").exists()
    with pytest.raises(ValueError, match="IN: expected a folder"):
        example.partitions(tmp_path / "nothing", tmp_path)
