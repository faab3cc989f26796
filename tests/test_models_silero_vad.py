"""silero-vad's port beside its ONNX file in ONNX Runtime: over speech, frame by frame and whole."""

from importlib.util import find_spec

import numpy as np
import pytest
from support_models import SileroVAD, frames_of, has_voice, port, speech

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
if find_spec("silero_vad") is None:
    pytest.skip("silero-vad is not installed", allow_module_level=True)
pytestmark = pytest.mark.skipif(not has_voice(), reason="espeak-ng is not installed")


@pytest.fixture(scope="module")
def module():
    return port("silero_vad")


@pytest.mark.parametrize("voice", ["en", "en+f3", "de"])
def test_probabilities(module, voice):
    sound = speech(voice)
    theirs, ours = SileroVAD(module.FILE), module.SileroVAD()
    expected = np.array([theirs.step(frame) for frame in frames_of(sound)])
    p = ours(sound)
    np.testing.assert_allclose(p, expected, atol=1e-5)
    assert (p > 0.5).sum() > 50
    assert (p < 0.1).sum() > 50
    assert (np.array([ours.step(frame) for frame in frames_of(sound)]) == p).all()
