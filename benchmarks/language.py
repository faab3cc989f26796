"""Characters a second that the character model of `fastlstm demo` learns from, here and in PyTorch.

`python -m benchmarks.language` prints it: each library in processes of its own, by turns, two threads each.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from math import nan

HIDDEN = (64, 128, 256)
THREADS = 2
STEPS = 60
ROUNDS = 3


def ours(hidden):
    """Return the characters a second of `fastlstm.fit`."""
    import fastlstm
    from fastlstm.demos import language

    fastlstm.set_num_threads(THREADS)
    text = language.manual()
    vocabulary = language.Vocabulary(text)
    model = language.character_model(len(vocabulary), hidden, seed=0)
    settings = language.Settings(steps=STEPS, hidden=hidden)
    return language.train(model, vocabulary.encode(text), settings)["steps_per_second"][-1]


def pytorch(hidden):
    """Return the characters a second of the same model, batches and steps, written as one would there."""
    import torch

    from fastlstm.demos import language

    torch.set_num_threads(THREADS)
    text = language.manual()
    vocabulary = language.Vocabulary(text)
    characters = torch.as_tensor(vocabulary.encode(text))
    streams = characters[: (len(characters) - 1) // language.STREAMS * language.STREAMS + 1]
    inputs = streams[:-1].reshape(language.STREAMS, -1).T.contiguous()
    targets = streams[1:].reshape(language.STREAMS, -1).T.contiguous()
    embedding = torch.nn.Embedding(len(vocabulary), 64)
    lstm = torch.nn.LSTM(64, hidden)
    linear = torch.nn.Linear(hidden, len(vocabulary))
    parameters = [*embedding.parameters(), *lstm.parameters(), *linear.parameters()]
    adam = torch.optim.Adam(parameters, lr=4e-3)
    state, started = None, time.perf_counter()
    for first in range(0, STEPS * language.WINDOW, language.WINDOW):
        window = slice(first, first + language.WINDOW)
        h, state = lstm(embedding(inputs[window]), state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(linear(h).flatten(0, 1), targets[window].flatten())
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
    return STEPS * language.WINDOW * language.STREAMS / (time.perf_counter() - started)


LIBRARIES = {"fastlstm": ours, "PyTorch": pytorch}


def measure(hidden):
    """Return each library's best of some rounds; NaN for one that is not installed."""
    best = dict.fromkeys(LIBRARIES, nan)
    for _ in range(ROUNDS):
        for name in LIBRARIES:
            if name == "PyTorch" and importlib.util.find_spec("torch") is None:
                continue
            command = [sys.executable, __file__, name, str(hidden)]
            run = subprocess.run(command, capture_output=True, text=True, check=True)
            rate = float(run.stdout)
            best[name] = rate if best[name] != best[name] else max(best[name], rate)
    return best


class Language:
    """Characters a second, and how many times PyTorch's that is."""

    timeout = 600
    param_names = ("hidden",)
    params = (HIDDEN,)

    def setup_cache(self):
        """Return what each library reaches, by hidden size."""
        return {hidden: measure(hidden) for hidden in HIDDEN}

    setup_cache.timeout = 900

    def track_characters_a_second(self, rates, hidden):
        return rates[hidden]["fastlstm"]

    track_characters_a_second.unit = "characters/s"

    def track_ratio_to_pytorch(self, rates, hidden):
        return rates[hidden]["fastlstm"] / rates[hidden]["PyTorch"]

    track_ratio_to_pytorch.unit = "times PyTorch's"


def main():
    """Print a table; or, with a library and a hidden size, its figure alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", nargs="?", choices=LIBRARIES)
    parser.add_argument("hidden", nargs="?", type=int)
    arguments = parser.parse_args()
    if arguments.library:
        print(LIBRARIES[arguments.library](arguments.hidden))
        return
    print("| hidden | fastlstm | PyTorch | ratio |\n| ---: | ---: | ---: | ---: |")
    for hidden in HIDDEN:
        rates = measure(hidden)
        ours, theirs = rates.values()
        print(f"| {hidden} | {ours:,.0f} chars/s | {theirs:,.0f} | {ours / theirs:.2f} |", flush=True)


if __name__ == "__main__":
    main()
