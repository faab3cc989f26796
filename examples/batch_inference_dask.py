"""A model's outputs for a folder of Parquet files, over a Dask cluster or over the cores of one machine.

pip install 'fastlstm[parquet]'
python batch_inference_dask.py MODEL IN OUT                            # a cluster of this machine's cores
python batch_inference_dask.py MODEL IN OUT --scheduler tcp://host:8786  # one that runs elsewhere
python batch_inference_dask.py MODEL IN OUT --joblib                   # no cluster: processes of this machine

MODEL is a file that `fastlstm.save` wrote. Each file of IN is a partition. A row is a sequence: `id`, and
`x`, a list of its T·I numbers, step after step. OUT gets a file of the same name: `id`, and `y`, a list of
the numbers that the model gives, step after step, or one vector's after a readout.

A partition is read, run and written some rows at a time, so no process ever holds more than these. Its rows
are a ragged batch: they may have any lengths, and cost their own steps only. A file of OUT is there whole or
not at all; where a worker dies, the cluster runs what it had again elsewhere. What comes out is the same to
the last bit on whatever machine, with however many workers, rows and threads.
"""

import argparse
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fastlstm
from fastlstm.training import predict

RESULT = pa.schema([("id", pa.int64()), ("y", pa.list_(pa.float32()))])


def sequences_of(column, input_size):
    """Return a column of lists as arrays (T_k, I): views of its memory, no copies."""
    numbers = column.values.to_numpy(zero_copy_only=True)
    offsets = column.offsets.to_numpy()
    return [numbers[first:last].reshape(-1, input_size) for first, last in pairwise(offsets)]


def column_of(outputs):
    """Return the outputs of sequences as a column of lists."""
    flat = [np.ravel(output) for output in outputs]
    offsets = np.cumsum([0, *map(len, flat)], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.concatenate(flat))


def infer_partition(model_path, source, target, rows):
    """Run the model on one file, `rows` sequences at a time; return how many there were."""
    model, target = fastlstm.load(model_path), Path(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    count = 0
    # By itself it would read ahead, all of the file.
    with (
        pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file,
        pq.ParquetWriter(partial, RESULT) as writer,
    ):
        for batch in file.iter_batches(rows, columns=["id", "x"], use_threads=False):
            x = sequences_of(batch.column("x"), model.input_size)
            y = column_of(predict(model, x))
            writer.write_batch(pa.record_batch([batch.column("id"), y], schema=RESULT))
            count += len(x)
    os.replace(partial, target)
    return count


def partitions(source, target):
    """Return each file of a folder, and the file that its results go to."""
    files = sorted(Path(source).glob("*.parquet"))
    if not files:
        raise ValueError(f"IN: expected a folder with *.parquet, got none in {str(source)!r}")
    Path(target).mkdir(parents=True, exist_ok=True)
    return files, [Path(target, file.name) for file in files]


def over_dask(client, model_path, source, target, rows, done=lambda count: None):
    """Run the model on all files over a cluster; `done` is called with the rows of each that is finished.

    Model and folders must be where the workers find them under these names, as on a shared disk.
    """
    from distributed import as_completed

    files, targets = partitions(source, target)
    futures = client.map(
        infer_partition, [model_path] * len(files), files, targets, [rows] * len(files), pure=False
    )
    for _, count in as_completed(futures, with_results=True):
        done(count)
    for leftover in Path(target).glob(".*.partial"):  # of workers that were killed
        leftover.unlink()


def over_joblib(jobs, model_path, source, target, rows, done=lambda count: None):
    """Run the model on all files in processes of this machine, as many as `jobs`; -1: one a core."""
    from joblib import Parallel, delayed

    pairs = zip(*partitions(source, target), strict=True)
    calls = (delayed(infer_partition)(model_path, *pair, rows) for pair in pairs)
    for count in Parallel(jobs, return_as="generator_unordered")(calls):
        done(count)


def main():
    """Read the arguments, and tell how many sequences were run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument("--rows", type=int, default=4096, help="read at a time (default: %(default)s)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a cluster that runs")
    parser.add_argument("--workers", type=int, help="processes of this machine (default: one a core)")
    parser.add_argument("--joblib", action="store_true", help="without a cluster")
    arguments = parser.parse_args()
    where = arguments.model, arguments.source, arguments.target, arguments.rows
    counts = []
    if arguments.joblib:
        over_joblib(arguments.workers or -1, *where, done=counts.append)
    else:
        from distributed import Client, LocalCluster

        if arguments.scheduler:
            with Client(arguments.scheduler) as client:
                over_dask(client, *where, done=counts.append)
        else:
            workers = arguments.workers or os.cpu_count()
            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            with cluster, Client(cluster) as client:
                over_dask(client, *where, done=counts.append)
    print(f"{sum(counts):,} sequences in {len(counts)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
