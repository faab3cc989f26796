"""g2pM's port trained further, on the readings of 47,000 phrases: how many it gets right, before and after.

pip install g2pM pypinyin
python examples/models/g2pm_further.py [EPOCHS]
"""

import sys

import numpy as np
from g2pm import G2pM
from pypinyin.contrib.tone_convert import to_tone3
from pypinyin.phrases_dict import phrases_dict

from fastlstm.training import Adam, fit, softmax_cross_entropy

NONE = -1
"""The target at a character that has one reading, or one that the model doesn't have."""


def phrases(tagger, most=None):
    """Return phrases as sequences in any order, and the class of the reading at each step."""
    classes = {reading: number for number, reading in tagger.idx2class.items()}
    first, last, unknown = (tagger.char2idx[sign] for sign in ("시", "끝", "<UNK>"))
    x, y = [], []
    known = list(phrases_dict.items())
    for phrase, readings in (known[k] for k in np.random.default_rng(0).permutation(len(known))[:most]):
        ambiguous = [len(tagger.cedict.get(character, "")) > 1 for character in phrase]
        found = [to_tone3(each[0], v_to_u=True, neutral_tone_with_five=True) for each in readings]
        targets = [
            classes.get(reading.replace("ü", "u:"), NONE) if several else NONE
            for several, reading in zip(ambiguous, found, strict=False)
        ]
        if len(found) == len(phrase) and max(targets) > NONE:
            characters = [tagger.char2idx.get(character, unknown) for character in phrase]
            x.append(np.array([first, *characters, last]))
            y.append(np.array([NONE, *targets, NONE]))
    return x, y


def loss(output, target, lengths=None, batch_first=False):
    """Return the cross-entropy where there is a target, and its gradient."""
    real = target > NONE
    return softmax_cross_entropy(output, target * real, lengths, mask=real, batch_first=batch_first)


def right(model, x, y):
    """Return the share of readings that are right."""
    hits = [model(a[None])[0].argmax(axis=1)[b > NONE] == b[b > NONE] for a, b in zip(x, y, strict=True)]
    return np.concatenate(hits).mean()


def main(epochs, most=None):
    """Train on nine phrases of ten, and say how many readings of the tenth are right."""
    tagger = G2pM()
    x, y = phrases(tagger, most)
    held = len(x) // 10
    test, data = (x[:held], y[:held]), (x[held:], y[held:])
    print(f"{len(x) - held} phrases to learn from, {held} held back")
    before = right(tagger.model, *test)
    fit(tagger.model, data, loss, optimizer=lambda models: Adam(models, 1e-3), epochs=epochs, rng=0)
    after = right(tagger.model, *test)
    print(f"right before: {before:.2%}, after {epochs} epochs: {after:.2%}")
    return before, after


if __name__ == "__main__":
    main(int((sys.argv[1:] or [3])[0]))
