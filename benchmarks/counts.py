"""What does a call cost, counted? The same on every machine, so that a change shows however busy it is.

`asv continuous --factor 1.05 HEAD~1 HEAD --bench Counted`
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastlstm

CALLS = 50
WORK = {
    "a step, H = 32": ("*_pw_*Stepper*step", "stream.step(x, out=out)", 32),
    "a step, H = 128": ("*_pw_*Stepper*step", "stream.step(x, out=out)", 128),
    "a call, 10 steps, H = 32": ("*_pw_*_core*run", "lstm.run(sequence)", 32),
}
"""What is counted: the function of the core, the call, and H."""

PROGRAM = """
import numpy as np, fastlstm
fastlstm.set_num_threads(1)
H, calls = {H}, {calls}
lstm = fastlstm.LSTM(H, H, rng=0)
stream, x, out = lstm.stream(), np.ones(H, np.float32), np.empty(H, np.float32)
sequence = np.ones((10, 1, H), np.float32)
for _ in range(calls):
    {call}
"""


class CountedInstructions:
    """Instructions of one call inside the core, as callgrind counts them with AVX2."""

    param_names = ("work",)
    params = (tuple(WORK),)
    timeout = 300

    def setup(self, work):
        if shutil.which("valgrind") is None or "avx2" not in fastlstm.show_config("dicts")["available"]:
            raise NotImplementedError("needs valgrind and AVX2")

    def track_instructions(self, work):
        """Return the instructions of one call."""
        function, call, H = WORK[work]
        with tempfile.TemporaryDirectory() as folder:
            profile = Path(folder, "callgrind.out")
            watch = ["valgrind", "--tool=callgrind", f"--toggle-collect={function}"]
            code = PROGRAM.format(H=H, calls=CALLS, call=call)
            subprocess.run(
                [*watch, f"--callgrind-out-file={profile}", sys.executable, "-c", code],
                env=os.environ | {"FASTLSTM_ISA": "avx2"},
                capture_output=True,
                check=True,
            )
            return int(re.search(r"^(?:summary|totals): (\d+)", profile.read_text(), re.MULTILINE)[1]) / CALLS

    track_instructions.unit = "instructions a call"


class CountedBytes:
    """What stays in memory for each number of a step."""

    def track_numbers_kept_for_backward(self):
        """Return how many numbers a tape keeps for each row, step and unit."""
        T, B, H = 20, 4, 64
        *_, tape = fastlstm.LSTM(H, H, rng=0).forward(np.ones((T, B, H), np.float32))
        return tape.nbytes / 4 / (T * B * H)

    track_numbers_kept_for_backward.unit = "H a row and step"
