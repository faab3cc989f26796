"""Write the golden files: PyTorch's own results in float64, for machines without PyTorch.

Run from the checkout's top: ``PYTHONPATH=src:tests python tests/golden/make.py``. Each file holds
everything that its case needs, so no random generator has to give the same numbers again.
"""

from pathlib import Path

import numpy as np
from support import Problem
from support_torch import torch_results, torch_twin

CASES = {
    "lstm": Problem("lstm", T=5, B=3, I=4, H=6, seed=1),
    "lstm_2_layers_both_directions_ragged": Problem(
        "lstm", T=6, B=4, I=3, H=5, layers=2, bidirectional=True, ragged=True, seed=2
    ),
    "lstm_projection_no_bias": Problem("lstm", T=4, B=3, I=3, H=7, P=2, layers=2, bias=False, seed=3),
    "tanh_both_directions": Problem("tanh", T=5, B=2, I=3, H=4, bidirectional=True, seed=4),
    "relu_2_layers_ragged": Problem("relu", T=5, B=3, I=3, H=4, layers=2, ragged=True, seed=5),
}
GIVEN = ("x", "h_0", "c_0", "dy", "dh_n", "dc_n", "lengths")


def main() -> None:
    for name, problem in CASES.items():
        if problem.lengths is not None:
            problem.lengths = np.maximum(problem.lengths, 1)  # PyTorch refuses empty sequences
        model = problem.model()
        given = {key: getattr(problem, key) for key in GIVEN if getattr(problem, key) is not None}
        results = torch_results(problem, torch_twin(problem, model), with_state=True)
        arrays = (
            {f"given.{key}": array for key, array in given.items()}
            | {f"weights.{key}": array for key, array in model.state_dict().items()}
            | {f"expected.{key}": array for key, array in results.items()}
        )
        np.savez_compressed(Path(__file__).with_name(f"{name}.npz"), **arrays)


if __name__ == "__main__":
    main()
