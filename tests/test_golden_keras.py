"""Keras's recorded results (golden/keras/make.py wrote them): masks, reverse runs, merged directions."""

from pathlib import Path

import numpy as np
import pytest

from fastlstm import LSTM, LastStep, Sequential

with np.load(Path(__file__).parent / "golden" / "keras" / "lstm.npz") as file:
    RECORDED = dict(file)
x, MASK = RECORDED["x"], RECORDED["mask"]


def loaded(model):
    """Return the model with Keras's weights, whose matrices are transposed and whose bias is one."""
    for kind, suffix in (("forward", ""), ("backward", "_reverse"))[: model.directions]:
        given = {name: RECORDED[f"{kind}.{name}"] for name in ("kernel", "recurrent_kernel", "bias")}
        model.update(
            {
                f"weight_ih_l0{suffix}": given["kernel"].T,
                f"weight_hh_l0{suffix}": given["recurrent_kernel"].T,
                f"bias_ih_l0{suffix}": given["bias"],
                f"bias_hh_l0{suffix}": np.zeros_like(given["bias"]),
            }
        )
    return model


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_one_direction(reverse, masked):
    model = loaded(LSTM(3, 5, batch_first=True, reverse=reverse))
    mask = MASK if masked else None
    name = ("backwards" if reverse else "plain") + ("_masked" if masked else "")
    y, (h, c) = model(x, mask=mask)
    expected = RECORDED[f"{name}.y"]
    np.testing.assert_allclose(y, expected[:, ::-1] if reverse else expected, atol=1e-6)
    np.testing.assert_allclose(h[0], RECORDED[f"{name}.h"], atol=1e-6)
    np.testing.assert_allclose(c[0], RECORDED[f"{name}.c"], atol=1e-6)
    last = Sequential(model, LastStep())(x, mask=mask)
    np.testing.assert_allclose(last, RECORDED[f"{name}.last"], atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("merge", "its"), {"concat": "concat", "sum": "sum", "mean": "ave", "mul": "mul"}.items()
)
def test_two_directions(merge, its, masked):
    """At masked steps Keras's `Bidirectional` alone gives zeros, in the place of what came before."""
    model = loaded(LSTM(3, 5, batch_first=True, bidirectional=True, merge=merge))
    if not masked:
        np.testing.assert_allclose(model(x)[0], RECORDED[f"{its}.y"], atol=1e-6)
        return
    y, _ = model(x, mask=MASK)
    np.testing.assert_allclose(np.where(MASK[..., None], y, 0), RECORDED[f"{its}_masked.y"], atol=1e-6)
