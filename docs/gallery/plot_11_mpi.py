"""
Training over MPI
=================

Each process takes its share of every batch; all end with the same weights.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

PROGRAM = """
import numpy as np
from mpi4py import MPI

import fastlstm
from fastlstm.training import Adam, mean_squared_error

rng = np.random.default_rng(0)
x = rng.standard_normal((64, 20, 4)).astype(np.float32)
model = fastlstm.Sequential(fastlstm.LSTM(4, 8, rng=0), fastlstm.LastStep(), fastlstm.Linear(8, 1, rng=0))
history = fastlstm.fit(
    model,
    (x, x[:, :, 0].mean(1, keepdims=True)),
    mean_squared_error,
    optimizer=lambda models: Adam(models, lr=1e-2),
    epochs=30,
    progress=False,
    rng=0,
    comm=MPI.COMM_WORLD,
)
same = MPI.COMM_WORLD.allgather(model(x).tobytes())
if MPI.COMM_WORLD.rank == 0:
    print(len(same), "processes, the same weights in all:", len(set(same)) == 1)
    np.save("losses.npy", history["loss"])
"""
print(PROGRAM)

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "train.py"
    path.write_text(PROGRAM)
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [mpiexec, "-n", "2", sys.executable, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    losses = np.load(Path(folder) / "losses.npy")
print(done.stdout)

_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.plot(range(1, len(losses) + 1), losses)
_ = ax.set(xlabel="epoch", ylabel="loss")
