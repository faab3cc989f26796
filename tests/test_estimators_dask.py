"""The example that spreads a search over a Dask cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs sklearn: pip install '.[dask]'")
pytest.importorskip("distributed", reason="needs dask: pip install '.[dask]'")

EXAMPLE = Path(__file__).parents[1] / "examples" / "grid_search_dask.py"


def test_the_example_runs(tmp_path):
    result = subprocess.run(
        [sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    accuracy = float(result.stdout.rsplit(maxsplit=1)[1])
    assert accuracy > 0.9, result.stdout


def test_workers_keep_to_their_share():
    from distributed import Client, LocalCluster

    import fastlstm

    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        assert client.submit(fastlstm.get_num_threads).result() == 1
