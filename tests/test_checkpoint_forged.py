"""Checkpoints with a right digest and odd content: gone on with or refused, and nothing has changed then."""

import copy
import json
import math
import re
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from support_files import forge
from support_fit import sequences, step_targets

from fastlstm import LSTM, Dropout, Linear, Sequential
from fastlstm.files import container
from fastlstm.training import (
    SGD,
    Adagrad,
    Adam,
    Averaging,
    Callback,
    CosineSchedule,
    EqualAverage,
    OneCycleSchedule,
    PlateauSchedule,
    RMSprop,
    StepSchedule,
    fit,
    mean_squared_error,
)
from fastlstm.training.checkpoint import FORMAT

# Training with forged numbers may overflow; here it only matters that it does not break.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Counting(Callback):
    """A callback of a user's, who trusts what was kept, and changes while it reads."""

    def __init__(self):
        self.seen = np.zeros(2)

    def on_step(self, progress):
        self.seen += 1

    def state_dict(self):
        return {"first": self.seen[:1], "second": self.seen[1:]}

    def load_state_dict(self, mapping):
        self.seen[:1] = mapping["first"]
        self.seen[1:] = mapping["second"]


class Stop(Callback):
    def __init__(self, steps):
        self.steps = steps

    def on_step(self, progress):
        if progress.history.steps == self.steps:
            progress.stop("enough")


class Trained:
    """A run, and everything that it changes."""

    def __init__(self, bit_generator, optimizer, schedule, bptt=None):
        self.model = Sequential(
            LSTM(3, 2, num_layers=2, dropout=0.3, rng=0), Dropout(0.2, rng=1), Linear(2, 2, rng=1)
        )
        self.optimizer = optimizer([self.model], lr=0.01)
        self.average, self.counting = EqualAverage(self.model), Counting()
        self.rng = None if bit_generator is None else np.random.Generator(bit_generator(3))
        self._schedule, self._bptt = schedule, bptt

    def fit(self, path, stop=0):
        x = sequences([5, 3, 7, 5, 1])
        return fit(
            self.model,
            (x, step_targets(x)),
            mean_squared_error,
            optimizer=self.optimizer,
            schedule=self._schedule,
            epochs=5,
            batch_size=2,
            validation=(x, step_targets(x, 2)),
            patience=5,
            bptt=self._bptt,
            callbacks=[Averaging(self.average), self.counting, Stop(stop)],
            checkpoint=path,
            shuffle=self.rng is not None,
            rng=self.rng,
        )

    def everything(self):
        states = [self.model.state_dict(), self.optimizer.state_dict(), self.average.state_dict()]
        generators = [*self.model.generators, *([] if self.rng is None else [self.rng])]
        return (
            [{name: array.tobytes() for name, array in state.items()} for state in states],
            self.counting.seen.tolist(),
            [repr(generator.bit_generator.state) for generator in generators],
        )


RUNS = {
    "windows": (np.random.MT19937, Adam, lambda optimizer, steps: CosineSchedule(optimizer, 12), 2),
    "powers": (np.random.Philox, RMSprop, lambda optimizer, steps: StepSchedule(optimizer, 1, 4.0)),
    "plateau": (np.random.PCG64, SGD, lambda optimizer, steps: PlateauSchedule(optimizer)),
    "cycle": (np.random.SFC64, Adagrad, lambda optimizer, steps: OneCycleSchedule(optimizer, 0.1, 20)),
    "plain": (None, Adam, None),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What runs wrote that were stopped in the middle of an epoch: descriptions and tensors."""
    contents = {}
    for name, arguments in RUNS.items():
        path = tmp_path_factory.mktemp("written") / name
        Trained(*arguments).fit(path, stop=10)
        description, tensors = container.read(path, FORMAT)
        assert description["numbers"]["sums"]["done"] > 0
        contents[name] = description, dict(sorted(tensors.items()))
    return contents


def outcome(path, arguments):
    """Go on from a checkpoint; return what came of it, having compared everything if it was refused."""
    run = Trained(*arguments)
    before = run.everything()
    try:
        run.fit(path)
    except ValueError as error:
        sentence = str(error)
    except FloatingPointError:
        return "trained until a number was none"
    else:
        return "gone on with"
    assert sentence.startswith("checkpoint: expected")
    assert len(sentence) < 2000
    assert run.everything() == before
    return "refused"


# By hand: what is known to have done harm


def at(description, *path):
    for part in path:
        description = description[part]
    return description


def put(value, *path):
    """Return a change that puts a value at a path of a description."""
    return lambda description, tensors: at(description, *path[:-1]).update({path[-1]: value})


def array(name, change):
    return lambda description, tensors: tensors.update({name: change(tensors.get(name))})


def without(name):
    return lambda description, tensors: tensors.pop(name)


GENERATOR = ("numbers", "rng", 0, "state")
BEST = ("numbers", "best")
SUMS = ("numbers", "sums")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda description, tensors: description.pop("numbers"),
            "description: expected setup, numbers, got",
        ),
        (put([], "numbers"), "numbers: expected a mapping, got list"),
        (put({}, "numbers"), "numbers: expected sums, best, step, rng, order, draws, schedule, got"),
        (put(-1, "numbers", "step"), "step: expected an integer of at least 0, got -1"),
        (put(2**53 + 1, "numbers", "step"), "step: expected an integer of at most 9007199254740992"),
        (put(None, *SUMS), "sums: expected a mapping, got NoneType"),
        (put(math.nan, *SUMS, "total"), "total: expected a finite number, got nan"),
        (put(10**39, *SUMS, "count"), None),
        (put(10**41, *SUMS, "count"), "description: expected numbers of 40 digits, got one of 42"),
        (put(100, *SUMS, "done"), "done: expected at most"),
        (put([1.0, 0, 1], *BEST), "best: expected a mapping, got list"),
        (put(math.nan, *BEST, "loss"), "loss: expected a number, got nan"),
        (put(None, *BEST, "epoch"), "best: expected weights of one of 1 epochs, or none and no epoch, got"),
        (put(2, *BEST, "epoch"), "best: expected weights of one of 1 epochs, or none and no epoch, got"),
        (put([], "numbers", "draws"), "draws: expected a list for 1 ranks, got another"),
        (put([[]], "numbers", "draws"), "states: expected those of 2 generators, got 0"),
        (put(None, "numbers", "rng"), "states: expected those of 1 generators, got NoneType"),
        (put([], "numbers", "order"), "states: expected those of 1 generators, got 0"),
        (put({"pos": 0}, *GENERATOR), "state: expected key, pos, got pos"),
        (put(625, *GENERATOR, "pos"), "pos: expected 0 to 624, got 625"),
        (put(-1, *GENERATOR, "pos"), "pos: expected 0 to 624, got -1"),
        (put("U500000000", *GENERATOR, "key", "dtype"), "key: expected an array of uint32"),
        (put([0], *GENERATOR, "key", "array"), "key: expected (624,) of uint32"),
        (put([2**32] * 624, *GENERATOR, "key", "array"), "key: expected numbers of uint32"),
        (put([0.5] * 624, *GENERATOR, "key", "array"), "key: expected (624,) of uint32"),
        (
            put("PCG64", "numbers", "rng", 0, "bit_generator"),
            "bit_generator: expected 'MT19937', got 'PCG64'",
        ),
        (put(None, "numbers", "schedule"), "mapping: expected a mapping, got NoneType"),
        (put(math.inf, "numbers", "schedule", "base_lr"), "base_lr: expected a finite number, got inf"),
        (put({}, "setup", "model"), "run with model"),
        (put("m" * 100_000, "setup", "optimizer"), "got one with 'mmm"),
        (put(1, "setup", "more"), "run with more None, got one with 1"),
        (array("model/2.bias", lambda bias: bias[:1]), "model 2.bias: expected (2,) of float32, got (1,)"),
        (array("model/2.bias", np.float64), "model 2.bias: expected (2,) of float32, got (2,) of float64"),
        (without("model/2.bias"), "model: expected 0.weight_ih_l0,"),
        (without("best/2.bias"), "best: expected 0.weight_ih_l0,"),
        (array("best/2.bias", lambda bias: bias[:0]), "best 2.bias: expected (2,) of float32, got (0,)"),
        (
            array("history/loss", lambda curve: curve[:0]),
            ": expected a number for each of 1 to 0 epochs, got",
        ),
        (array("history/val_loss", lambda curve: np.ones(5)), "history val_loss: expected a number for each"),
        (without("history/loss"), ": expected a number for each of 1 to 0 epochs, got"),
        (array("optimizer/lr", np.negative), "lr: expected a number of at least 0, got -"),
        (array("optimizer/0.2.bias.steps", np.negative), "2.bias.steps: expected an integer of at least 0"),
        (
            array("optimizer/0.2.bias.square", lambda a: a - 9),
            "2.bias.square: expected finite numbers of at least 0",
        ),
        (without("state 0/0.1"), "state: expected 0.0, 0.1, got 0.0"),
        (array("state 0/0.0", lambda h: h[:, :1]), "state 0.0: expected (2, 2, 2) of float32, got (2, 1, 2)"),
        (array("state 0/" + "0." * 50_000, lambda none: np.zeros(1)), "state: expected 0.0, 0.1, got"),
        (
            array("state 1/0", lambda none: np.zeros(1)),
            "tensors: expected those of this run, surplus state 1",
        ),
        (array("callback 0/count", np.negative), "count: expected an integer of at least 0, got -"),
        (without("callback 0/count"), "mapping: expected count and the model's names, got"),
        (without("callback 1/second"), "Counting: expected what it can load, got KeyError('second')"),
        (array("callback 1/second", lambda seen: np.ones(3)), "could not broadcast"),
        (array("callback 3/count", lambda none: np.zeros(1)), "surplus callback 3"),
        (array("more/count", lambda none: np.zeros(1)), "surplus more"),
    ],
)
def test_forged_by_hand(change, sentence, written, tmp_path):
    description, tensors = copy.deepcopy(written["windows"])
    change(description, tensors)
    path = forge(tmp_path / "forged", FORMAT, description, tensors)
    if sentence is None:
        assert outcome(path, RUNS["windows"]) == "gone on with"
        return
    run = Trained(*RUNS["windows"])
    with pytest.raises(ValueError, match=re.escape(sentence)):
        run.fit(path)
    assert outcome(path, RUNS["windows"]) == "refused"


@pytest.mark.parametrize("name", RUNS)
def test_what_was_written_is_gone_on_with(name, written, tmp_path):
    path = forge(tmp_path / "same", FORMAT, *written[name])
    assert outcome(path, RUNS[name]) == "gone on with"


def test_a_claimed_dtype_asks_for_no_memory(written, tmp_path):
    description, tensors = copy.deepcopy(written["windows"])
    put({"array": ["a"], "dtype": "U500000000"}, *GENERATOR, "key")(description, tensors)
    path = forge(tmp_path / "forged", FORMAT, description, tensors)
    tracemalloc.start()
    assert outcome(path, RUNS["windows"]) == "refused"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


# At random

ODD = [
    *(None, True, False, "", "a", "float64", "object", "U500000000", [], {}, [[]], [None], {"a": 1}),
    *(-1, 0, 1, 624, 625, 2**31, 2**32, 2**53, 2**63, 2**64, 2**128, 10**39, 10**60),
    *(0.5, -0.5, 1e308, math.inf, -math.inf, math.nan),
    *([0] * 624, {"array": [0], "dtype": "U500000000"}, {"array": [0] * 4, "dtype": "uint64"}),
    json.loads("[" * 12 + "]" * 12),
    json.loads("[" * 200 + "]" * 200),
]


class Forger:
    """Changes of a checkpoint, drawn from a seed."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def forged(self, description, tensors):
        description, tensors = copy.deepcopy(description), dict(tensors)
        for _ in range(self._rng.integers(1, 4)):
            if self._rng.random() < 0.6:
                self._change_description(description)
            elif tensors:
                self._change_tensors(tensors)
        return description, tensors

    def _one_of(self, values):
        values = list(values)
        return values[self._rng.integers(len(values))]

    def _place(self, tree):
        """Return a list or mapping in a tree, and one of its indices; short ways are likelier."""
        while True:
            index = self._one_of(tree) if isinstance(tree, dict) else int(self._rng.integers(len(tree)))
            below = tree[index]
            if not isinstance(below, (dict, list)) or not below or self._rng.random() < 0.2:
                return tree, index
            tree = below

    def _change_description(self, description):
        if not (description and all(description.values())):
            return
        tree, index = self._place(description)
        match self._rng.integers(5):
            case 0 | 1:
                tree[index] = copy.deepcopy(self._one_of(ODD))
            case 2:
                del tree[index]
            case 3:
                other, place = self._place(description) if description else (tree, index)
                if index in (tree if isinstance(tree, dict) else range(len(tree))):
                    tree[index] = copy.deepcopy(other[place])
            case _:
                value = tree[index]
                if isinstance(value, (int, float)):
                    tree[index] = self._one_of([-value, value + 1, value - 1, value * 2**20, str(value)])
                elif isinstance(tree, dict):
                    tree[f"{index}2"] = value
                else:
                    tree.append(value)

    def _change_tensors(self, tensors):
        name = self._one_of(tensors)
        array = tensors[name]
        match self._rng.integers(6):
            case 0:
                del tensors[name]
            case 1:
                group, _, rest = name.partition("/")
                others = ("model", "best", "optimizer", "history", "state 0", "state 1", "callback 0", "a")
                odd = ("", "0", "0.0.0", "-1", "a", "state", "0." * 2000, "loss", rest)
                tensors[f"{self._one_of([group, *others])}/{self._one_of(odd)}"] = tensors.pop(name)
            case 2:
                dtype = self._one_of(["f2", "f4", "f8", "i4", "i8", "?"])
                tensors[name] = np.nan_to_num(array).astype(dtype)
            case 3:
                shapes = [array.reshape(-1), array[None], array[..., None], array.reshape(-1)[:0]]
                tensors[name] = self._one_of([*shapes, np.concatenate([array.reshape(-1)] * 2)])
            case _:
                odd = [-1, 0, 2**53, 2**62] + ([] if array.dtype.kind == "i" else [1e30, math.inf, math.nan])
                tensors[name] = np.full_like(array, self._one_of(odd))


def forge_often(seeds, written, path):
    """Go on from a checkpoint forged from each seed; return how often each outcome came."""
    outcomes = Counter()
    for seed in seeds:
        name = list(RUNS)[seed % len(RUNS)]
        forge(path, FORMAT, *Forger(seed).forged(*written[name]))
        try:
            outcomes[outcome(path, RUNS[name])] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
    return outcomes


def test_forged_at_random(written, tmp_path):
    outcomes = forge_often(range(300), written, tmp_path / "forged")
    assert outcomes["refused"] > 200
    assert outcomes["gone on with"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_forged_at_random_often(part, written, tmp_path):
    forge_often(range(3000 * part, 3000 * (part + 1)), written, tmp_path / "forged")
