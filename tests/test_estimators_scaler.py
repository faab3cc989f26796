"""The scaler of sequences."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs sklearn: pip install '.[sklearn]'")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fastlstm.estimators import LSTMClassifier, LSTMRegressor, SequenceScaler


def sequences(count=30, size=2, seed=0):
    rng = np.random.default_rng(seed)
    return [1000 + [1, 50] * rng.standard_normal((n, size)) for n in rng.integers(1, 9, size=count)]


def test_scikit_learns_checks():
    results = check_estimator(SequenceScaler(), on_skip=None, on_fail=None)
    failed = {result["check_name"]: result["exception"] for result in results if result["status"] == "failed"}
    assert failed == {}
    assert sum(result["status"] == "passed" for result in results) > 40


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5).filter(any),
    size=st.integers(1, 4),
    level=st.sampled_from([0.0, -3.0, 1e6]),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_each_variable_has_mean_0_and_deviation_1(lengths, size, level, dtype):
    rng = np.random.default_rng(0)
    X = [(level + rng.standard_normal((n, size))).astype(dtype) for n in lengths]
    scaler = SequenceScaler().fit(X)
    scaled = scaler.transform(X)
    assert [sequence.shape for sequence in scaled] == [sequence.shape for sequence in X]
    assert all(sequence.dtype == dtype for sequence in scaled)
    expected = StandardScaler().fit(np.concatenate(X))
    assert np.array_equal(scaler.mean_, expected.mean_)
    assert np.array_equal(scaler.scale_, expected.scale_)
    tolerance = {"f4": 1e-6, "f8": 1e-14}[dtype] * max(1, abs(level))
    for back, sequence in zip(scaler.inverse_transform(scaled), X, strict=True):
        np.testing.assert_allclose(back, sequence, rtol=0, atol=tolerance * 8)


def test_forms():
    pandas = pytest.importorskip("pandas")
    array = np.random.default_rng(0).standard_normal((5, 4, 2))
    scaler = SequenceScaler().fit(array)
    scaled = scaler.transform(array)
    assert scaled.shape == array.shape
    assert np.array_equal(scaled, np.stack(scaler.transform(list(array))))
    objects = np.empty(5, object)
    objects[:] = list(array)
    assert np.array_equal(scaled, np.stack(scaler.transform(objects)))
    frames = [pandas.DataFrame(sequence, columns=["a", "b"]) for sequence in array]
    named = SequenceScaler().fit(frames)
    assert named.get_feature_names_out().tolist() == ["a", "b"]
    assert np.array_equal(scaled, np.stack(named.transform(frames)))
    frame = pandas.concat(dict(enumerate(frames)))
    assert np.array_equal(scaled, np.stack(named.transform(frame)))
    table = array[:, :, 0]
    one = SequenceScaler().fit(table)
    assert one.mean_ == pytest.approx([table.mean()])
    assert one.transform(table).shape == (5, 4)
    assert one.transform(table).std() == pytest.approx(1)


def test_in_pipelines():
    X = sequences(60)
    y = np.array(["up" if x[:, 1].mean() > 1000 else "down" for x in X])
    options = {"hidden_size": 8, "epochs": 15, "learning_rate": 0.02, "random_state": 0}
    pipeline = make_pipeline(SequenceScaler(), LSTMClassifier(**options)).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    by_hand = SequenceScaler().fit(X)
    expected = LSTMClassifier(**options).fit(by_hand.transform(X), y).predict_proba(by_hand.transform(X))
    assert np.array_equal(pipeline.predict_proba(X), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(pipeline)).predict_proba(X), expected)
    search = GridSearchCV(pipeline, {"lstmclassifier__hidden_size": [4, 8]}, cv=2).fit(X, y)
    assert search.best_score_ > 0.7
    target = [x[:, 0].mean() for x in X]
    regressor = make_pipeline(SequenceScaler(), LSTMRegressor(**options | {"epochs": 40})).fit(X, target)
    assert regressor.score(X, target) > 0.8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SequenceScaler().transform(sequences()), "not fitted"),
        (lambda: SequenceScaler().fit([np.empty((0, 2))]), "X: expected sequences with at least one step"),
        (lambda: SequenceScaler().fit([np.full((3, 2), np.nan)]), "contains NaN"),
        (lambda: SequenceScaler().fit([np.full((3, 2), "a")]), "X: expected numbers, got dtype <U1"),
        (lambda: SequenceScaler().fit([np.array([[1e200], [-1e200]])]), "X: expected numbers whose squares"),
        (lambda: SequenceScaler().fit(sequences()).transform([np.ones((3, 3))]), "3 features"),
        (lambda: SequenceScaler().fit(sequences()).transform(np.ones((3, 2))), "X: expected sequences"),
        (
            lambda: SequenceScaler().fit(sequences()).inverse_transform(np.ones((3, 2))),
            "X: expected sequences",
        ),
    ],
)
def test_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
