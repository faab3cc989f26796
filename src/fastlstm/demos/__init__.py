"""Experiments that anyone can run: `fastlstm demo NAME`.

Each module has `Settings` (what the command line sets), `arguments` (how) and `run`.
"""

NAMES = {
    "language": "a character model learns real text, and writes",
    "memory": "how far back an LSTM learns to remember, and other cells",
    "forecast": "a seasonal series, against the baselines that are hard to beat",
    "classify": "who speaks: nine speakers, sequences of different lengths",
}
"""What each shows."""
