"""
A folder of Parquet files over Dask
===================================

A model's outputs for more sequences than one machine's memory holds: each file is a partition, each row a
sequence of any length. A Dask cluster, here one of this machine's cores, runs the files side by side.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fastlstm

# sphinx-gallery runs this in the directory of this file.
EXAMPLE = Path("../../examples/batch_inference_dask.py").resolve()
folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)

# %%
# A model's file, and three files of 100 sequences each.
model = fastlstm.Sequential(fastlstm.LSTM(2, 32, rng=0), fastlstm.LastStep(), fastlstm.Linear(32, 1, rng=0))
fastlstm.save(model, folder / "model.npz")
(folder / "in").mkdir()
for part in range(3):
    x = [rng.standard_normal(2 * length).astype(np.float32) for length in rng.integers(1, 200, 100)]
    pq.write_table(pa.table({"id": range(100), "x": x}), folder / "in" / f"{part}.parquet")

# %%
# ``examples/batch_inference_dask.py`` of the repository is a program to copy from; ``--scheduler`` takes the
# address of a larger cluster.
command = [sys.executable, EXAMPLE, folder / "model.npz", folder / "in", folder / "out", "--workers", "2"]
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

# %%
# The bits are those of the model in this process, whichever worker ran a row, and beside which others.
_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for part in range(3):
    rows = pq.read_table(folder / "in" / f"{part}.parquet")["x"].to_pylist()
    x = [np.array(row, np.float32).reshape(-1, 2) for row in rows]
    out = pq.read_table(folder / "out" / f"{part}.parquet")["y"].to_pylist()
    alone = [model(sequence[:, None])[0].tolist() for sequence in x]
    print(f"{part}.parquet: {len(out)} rows, the same bits: {out == alone}")
    ax.scatter([len(sequence) for sequence in x], out, s=12, label=f"{part}.parquet")
ax.set(xlabel="steps of a sequence", ylabel="output")
_ = ax.legend()
