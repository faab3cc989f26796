"""Resemblyzer's port beside the original: voices of spectrograms."""

from importlib.util import find_spec

import numpy as np
import pytest
from support_models import has_voice, mel_spectrogram, original_resemblyzer, port, speech

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.skipif(find_spec("resemblyzer") is None, reason="Resemblyzer is not installed"),
    pytest.mark.skipif(not has_voice(), reason="espeak-ng is not installed"),
    pytest.mark.filterwarnings("ignore"),
]


def test_voices():
    theirs, ours = original_resemblyzer(), port("resemblyzer").VoiceEncoder()
    mels = np.stack([mel_spectrogram(speech(voice))[:500] for voice in ("en", "en+f3", "de")])
    with torch.no_grad():
        expected = theirs(torch.from_numpy(mels)).numpy()
    voices = ours(mels)
    np.testing.assert_allclose(voices, expected, atol=2e-6)
    # Whose voice it is shows: another recording of the first speaker is nearest to the first.
    again = ours(mel_spectrogram(speech("en"))[None, 100:])
    assert (again @ voices.T).argmax() == 0
    ragged = ours(mels, lengths=[500, 300, 500])
    with torch.no_grad():
        np.testing.assert_allclose(ragged[1], theirs(torch.from_numpy(mels[1:2, :300]))[0].numpy(), atol=2e-6)
