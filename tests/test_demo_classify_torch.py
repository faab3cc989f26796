"""The demo classify beside the same model in PyTorch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("aeon", reason="needs the extra demo")

from fastlstm.demos import classify, classify_torch  # noqa: E402
from fastlstm.demos.classify import Settings  # noqa: E402
from fastlstm.training import predict  # noqa: E402


@pytest.mark.parametrize("readout", classify.READOUTS)
def test_both_learn_the_same(readout):
    settings = Settings(epochs=1, hidden=16, readout=readout)
    train, test = classify.standardised(classify.utterances("train"), classify.utterances("test"))
    model = classify.classifier(settings, 0)
    peer = classify_torch.TorchClassifier(model.state_dict(), readout)
    assert np.allclose(predict(model, test.x), peer.scores(test.x), atol=1e-5)
    before = predict(model, test.x)
    classify.learn(model, train, settings, 0)
    with classify_torch.threads(1):
        peer.learn(train.x, train.y, list(classify.lesson(model, train, settings, 0)))
    assert np.abs(predict(model, test.x) - before).max() > 0.1
    assert np.allclose(predict(model, test.x), peer.scores(test.x), atol=1e-3)


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with classify_torch.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_results_of_both():
    runs = classify.results(Settings(seeds=2, epochs=2, hidden=16, lr=1e-2, threads=1))
    assert runs.keys() == {"fastlstm", "PyTorch"}
    for of in runs.values():
        assert of.accuracies.shape == of.seconds.shape == (2,)
        assert (of.accuracies > 1 / classify.SPEAKERS).all()
        assert (of.seconds > 0).all()


@pytest.mark.slow
def test_as_accurate_in_half_the_time():
    runs = classify.results(Settings())
    ours, theirs = runs["fastlstm"], runs["PyTorch"]
    assert ours.accuracies.mean() >= 0.975
    ahead = ours.accuracies - theirs.accuracies
    assert ahead.mean() >= -2 * classify.standard_error(ahead)
    assert ours.seconds.min() <= theirs.seconds.min() / 2
