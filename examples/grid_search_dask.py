"""A search over parameters, spread over a Dask cluster: here two processes of this machine.

pip install 'fastlstm[dask]'
python grid_search_dask.py
"""

import joblib
import numpy as np
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from fastlstm.estimators import LSTMClassifier


def sequences(count=120):
    """Return sequences of different lengths, and whether their first variable rises or falls."""
    rng = np.random.default_rng(0)
    steps = [rng.standard_normal((length, 2)) for length in rng.integers(5, 30, size=count)]
    slopes = rng.choice([-0.3, 0.3], size=count)
    X = [step + slope * np.arange(len(step))[:, None] for step, slope in zip(steps, slopes, strict=True)]
    return X, np.where(slopes > 0, "rises", "falls")


def main():
    """Search, and print what was best."""
    X, y = sequences()
    grid = {"hidden_size": [8, 16], "learning_rate": [0.003, 0.01]}
    search = GridSearchCV(LSTMClassifier(epochs=10, random_state=0), grid, cv=3)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    # A cluster that runs elsewhere is reached by its scheduler's address: Client("tcp://...:8786").
    with cluster, Client(cluster), joblib.parallel_config("dask"):
        search.fit(X, y)
    print(f"best: {search.best_params_}, accuracy {search.best_score_:.3f}")


if __name__ == "__main__":
    main()
