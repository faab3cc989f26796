"""What do variants of a cell cost, beside the plain cell of the same sizes?

`python -m benchmarks.variants` prints it: each variant in turn with the plain cell, forward and training, by
best times; and, where PyTorch is there, layer normalisation and an sLSTM beside the same written out in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from time import perf_counter, sleep
from typing import Any

import numpy as np

import fastlstm

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "peepholes": {"peepholes": True},
    "input_forget": {"input_forget": True},
    "clip": {"clip": 3.0},
    "cell_clip": {"cell_clip": 3.0},
    "zoneout": {"zoneout": 0.1},
    "recurrent_dropout": {"recurrent_dropout": 0.2},
    "gate_masks": {"recurrent_dropout": 0.2, "gate_masks": True},
    "weight_drop": {"weight_drop": 0.2},
    "learn_state": {"learn_state": True},
    "layer_norm": {"layer_norm": True},
    "hard sigmoids": {"activations": ["hard_sigmoid", "tanh", "tanh"]},
    "heads=4": {"heads": 4},
}
OTHERS: dict[str, dict[str, Any]] = {"plain": {}, "layer_norm": {"layer_norm": True}}
TWO: dict[str, dict[str, Any]] = {
    "plain": {"bidirectional": True},
    "merge=sum": {"bidirectional": True, "merge": "sum"},
}
PAUSE = 0.05
"""Seconds for which the threads of PyTorch may go on waiting for work."""
SIZES = ((100, 1, 128), (100, 32, 128), (50, 64, 512))
Call = Callable[[], object]


def trained(model: Any, x: np.ndarray) -> Call:
    """Return a call that runs a model forward and backward, with new weights, as steps of training do."""
    y, _, tape = model.forward(x)
    dy = np.ones_like(y)
    tape.backward(dy)
    weights = dict(model.parameters)

    def call() -> None:
        model.update(weights)
        model.forward(x)[2].backward(dy)

    return call


def best(calls: Mapping[str, Call], seconds: float, pause: float = 0) -> dict[str, float]:
    """Return each call's best time, three of one and then of the next for so many seconds together.

    A pause between them lets the threads of another library go to sleep.
    """
    times = dict.fromkeys(calls, np.inf)
    end = perf_counter() + seconds
    while perf_counter() < end or np.inf in times.values():
        for name, call in calls.items():
            sleep(pause)
            for _ in range(3):
                begin = perf_counter()
                call()
                times[name] = min(times[name], perf_counter() - begin)
    return times


def table(title: str, times: Mapping[str, float]) -> None:
    """Print times as multiples of the first."""
    first = next(iter(times.values()))
    line = "  ".join(f"{name} {time / first:.2f}" for name, time in times.items())
    print(f"{title:32} {first * 1e3:8.2f} ms  {line}", flush=True)


def compare(
    kind: str, sizes: tuple[int, int, int], variants: Mapping[str, Mapping[str, Any]], seconds: float
) -> None:
    """Print what variants of a class cost, forward and training."""
    T, B, H = sizes
    x = np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32)
    models = {name: getattr(fastlstm, kind)(H, H, rng=0, **options) for name, options in variants.items()}
    name = f"{kind}, {', '.join(map(str, sizes))}"
    table(f"{name}, forward", best({k: lambda m=m: m(x) for k, m in models.items()}, seconds))
    table(f"{name}, training", best({k: trained(m, x) for k, m in models.items()}, seconds))


def compare_slstm(T: int, B: int, H: int, training: bool, seconds: float, torch: Any) -> None:
    """Print an sLSTM's time beside those of an LSTM with as many heads and of a loop in PyTorch."""
    x = np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32)
    models = {"LSTM": fastlstm.LSTM(H, H, heads=4, rng=0), "SLSTM": fastlstm.SLSTM(H, H, heads=4, rng=0)}
    calls = {k: trained(m, x) if training else (lambda m=m: m(x)) for k, m in models.items()}
    if torch is not None:
        calls["SLSTM in PyTorch"] = slstm_of_torch(models["SLSTM"], x, training, torch)
    table(f"{T}, {B}, {H}, heads=4, {'training' if training else 'forward'}", best(calls, seconds, PAUSE))


def slstm_of_torch(model: Any, x: np.ndarray, training: bool, torch: Any) -> Call:
    """Return a call of an sLSTM written out in PyTorch, and check that both agree."""
    p = {name: torch.tensor(array, requires_grad=True) for name, array in model.parameters.items()}
    heads, each = model.heads, model.hidden_size // model.heads
    recurrent = p["weight_hh_l0"].reshape(4, heads, each, each)
    log_sigmoid = torch.nn.functional.logsigmoid
    steps = torch.tensor(x)

    def forward() -> Any:
        B, H = steps.shape[1], model.hidden_size
        h = c = n = m = torch.zeros(B, H)
        projected = steps @ p["weight_ih_l0"].T + p["bias_ih_l0"] + p["bias_hh_l0"]
        y = []
        for t, of_x in enumerate(projected):
            of_h = torch.einsum("ghij,bhj->bghi", recurrent, h.reshape(B, heads, each)).reshape(B, 4 * H)
            i, f, z, o = (of_x + of_h).chunk(4, dim=1)
            log_f = log_sigmoid(f) + m
            m = torch.maximum(i, log_f) if t else i
            i, f = torch.exp(i - m), torch.exp(torch.clamp(log_f - m, max=0))
            c, n = f * c + i * torch.tanh(z), f * n + i
            h = torch.sigmoid(o) * c / n
            y.append(h)
        return torch.stack(y)

    def train() -> None:
        forward().sum().backward()

    with torch.no_grad():
        np.testing.assert_allclose(forward().numpy(), model(x)[0], atol=1e-4)
    return train if training else torch.no_grad()(forward)


def compare_layer_norm(T: int, B: int, H: int, seconds: float, torch: Any) -> None:
    """Print the time of layer normalisation beside that of PyTorch's loop over the steps."""
    x = np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32)
    model = fastlstm.LSTM(H, H, layer_norm=True, rng=0)
    p = {name: torch.tensor(array, requires_grad=True) for name, array in model.parameters.items()}
    norm, steps = torch.nn.functional.layer_norm, torch.tensor(x)

    def forward() -> Any:
        h = c = torch.zeros(B, H)
        of_x = norm(steps @ p["weight_ih_l0"].T, (4 * H,), p["gain_ih_l0"])
        of_x = of_x + p["bias_ih_l0"] + p["bias_hh_l0"]
        y = []
        for of_step in of_x:
            pre = of_step + norm(h @ p["weight_hh_l0"].T, (4 * H,), p["gain_hh_l0"])
            i, f, g, o = pre.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(norm(c, (H,), p["gain_c_l0"], p["bias_c_l0"]))
            y.append(h)
        return torch.stack(y)

    with torch.no_grad():
        # What rounding changes grows from step to step, as each is normalised.
        np.testing.assert_allclose(forward()[:20].numpy(), model(x[:20])[0], atol=1e-4)
    name, evaluated = f"{T}, {B}, {H}, layer_norm", torch.no_grad()(forward)
    table(f"{name}, forward", best({"ours": lambda: model(x), "PyTorch": evaluated}, seconds, PAUSE))
    calls = {"ours": trained(model, x), "PyTorch": lambda: forward().sum().backward()}
    table(f"{name}, training", best(calls, seconds, PAUSE))


def main() -> None:
    """Print all tables, for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each line (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
    for threads in arguments.threads:
        fastlstm.set_num_threads(threads)
        if torch is not None:
            torch.set_num_threads(threads)
        print(f"{threads} threads: best time of the first, and of the others as multiples of it")
        for sizes in SIZES:
            compare("LSTM", sizes, VARIANTS, arguments.seconds)
            compare("LSTM", sizes, TWO, arguments.seconds / 4)
            compare("GRU", sizes, OTHERS, arguments.seconds / 4)
            compare("RNN", sizes, OTHERS, arguments.seconds / 4)
        compare_slstm(2048, 1, 512, False, arguments.seconds, torch)
        compare_slstm(256, 32, 512, True, arguments.seconds, torch)
        if torch is not None:
            compare_layer_norm(100, 1, 128, arguments.seconds, torch)
            compare_layer_norm(100, 32, 128, arguments.seconds, torch)


if __name__ == "__main__":
    main()
