"""Sizes that no memory holds, broadcast so that they take none: refused, and nothing is touched."""

import resource
import subprocess
import sys

import numpy as np
import pytest

SIZES = (2**31 - 1, 2**31, 2**32, 2**44, 2**59, 2**60, 2**61, 2**62, 2**63 - 1)
SHAPES = [
    *((T, B, 1) for T in SIZES for B in (0, 1, 2)),
    *((T, B, 1) for B in SIZES for T in (0, 1, 2)),
    (2**31, 2**31, 1),
    (2**16, 2**46, 1),
]
MOST_MEMORY = 4 << 30
"""Address space for one process: what may be tried must not be what a machine happens to have."""

RUN = """
import sys, numpy as np, fastlstm
lstm, rnn = fastlstm.LSTM(1, 4, rng=0), fastlstm.RNN(1, 4, rng=0)
stack = fastlstm.Sequential(lstm, fastlstm.LastStep(), fastlstm.Linear(4, 1))
both = fastlstm.LSTM(1, 4, 2, bidirectional=True, proj_size=2, batch_first=True, rng=0)
CALLS = [lstm, lstm.forward, lstm.trace, rnn, rnn.forward, both, both.forward, stack, stack.forward]
for shape in SHAPES:
    try:
        x = np.broadcast_to(np.float16(0.5), shape)
    except ValueError:  # NumPy itself refuses it
        continue
    feeds = [lambda x: lstm.stream(shape[1]).feed(x)]
    if shape[0] > 2 and shape[1] > 0:
        feeds.append(lambda x: lstm.stream().feed(x[:, 0]))
    for call in [*CALLS, *feeds]:
        try:
            call(x)
        except (ValueError, MemoryError, IndexError) as error:
            assert isinstance(error, MemoryError) or 0 in shape or str(error), error
        else:
            assert 0 in shape, (shape, call)
lengths = np.array([3, 0, 1])
assert lstm(np.ones((3, 3, 1)), lengths=lengths)[0].shape == (3, 3, 4)  # all is as it was
print("done")
"""


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


@pytest.mark.parametrize("shapes", [SHAPES[k::4] for k in range(4)], ids=range(4))
def test_batches_that_no_memory_holds(shapes):
    code = RUN.replace("SHAPES", repr(shapes))
    done = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=limited, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


def test_shapes_are_some_that_numpy_makes():
    made = 0
    for shape in SHAPES:
        try:
            np.broadcast_to(np.float16(0.5), shape)
        except ValueError:
            continue
        made += 1
    assert made > len(SHAPES) // 2
