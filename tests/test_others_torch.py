"""Whatever PyTorch's recurrent modules are, `torch.save` and `fastlstm.load` give the same results."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import distance
from support_others import check_refused

import fastlstm

torch = pytest.importorskip("torch")


@st.composite
def modules(draw):
    """A recurrent module, and what its state dictionary does not say."""
    kind = draw(st.sampled_from(["LSTM", "GRU", "RNN"]))
    size = draw(st.integers(1, 9))
    options = {
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
    }
    told = {"batch_first": options["batch_first"]}
    if kind == "RNN":
        told["nonlinearity"] = options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if kind == "LSTM" and size > 1:
        options["proj_size"] = draw(st.integers(0, size - 1))
    torch.manual_seed(draw(st.integers(0, 99)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return getattr(torch.nn, kind)(draw(st.integers(1, 9)), size, **options).to(dtype), told


class Around(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.deep = torch.nn.ModuleDict({"inner": inner})


@settings(deadline=None, max_examples=40)
@given(drawn=modules(), is_new=st.booleans(), is_whole=st.booleans())
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_every_module(drawn, is_new, is_whole):
    module, told = drawn
    file, around = io.BytesIO(), Around(module)
    torch.save(around if is_whole else around.state_dict(), file, _use_new_zipfile_serialization=is_new)
    model = fastlstm.load(file.getvalue(), prefix="deep.inner", **({} if is_whole else told))
    dtype = next(module.parameters()).dtype
    x = torch.randn(4, 3, module.input_size, dtype=dtype)
    y, _ = model(x.numpy())
    assert str(model.dtype) == str(dtype).removeprefix("torch.")
    assert distance(y, module(x)[0].detach().numpy()) < 1e-5


def saved(it, **told):
    """Return what `torch.save` writes."""
    file = io.BytesIO()
    torch.save(it, file, **told)
    return file.getvalue()


def normed(norm):
    module = torch.nn.LSTM(2, 3)
    norm(module, "weight_hh_l0")
    return module.state_dict()


def quantised():
    model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(2, 3), "fc": torch.nn.Linear(3, 2)})
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: normed(torch.nn.utils.weight_norm), "weight_hh_l0_g: expected plain weights, got what they"),
        (
            lambda: normed(torch.nn.utils.parametrizations.weight_norm),
            "parametrizations.weight_hh_l0.original0: expected plain weights",
        ),
        (lambda: quantised().state_dict(), "expected a plain tensor, got what torch._utils._rebuild_qtensor"),
        (
            lambda: {"lstm": torch.nn.LSTM(2, 3, device="meta").state_dict()},
            "lstm.weight_ih_l0: expected a plain",
        ),
        (
            lambda: {"a": torch.eye(2).to_sparse()},
            "a: expected a plain tensor, got what torch._utils._rebuild_sp",
        ),
        (lambda: {"a": torch.ones(2).numpy()}, "a: expected a plain tensor, got what numpy"),
        (lambda: {"epoch": 3}, "tensors: expected at least one of plain numbers, got none"),
    ],
)
def test_tensors_of_other_kinds_are_refused_by_name(make, sentence):
    for is_new in (True, False):
        check_refused(saved(make(), _use_new_zipfile_serialization=is_new), sentence)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_what_is_plain_beside_them_loads_by_its_name():
    module = quantised()
    model = fastlstm.load(saved(module.state_dict()), prefix="lstm")
    x = torch.randn(4, 3, 2)
    assert distance(model(x.numpy())[0], module["lstm"](x)[0].detach().numpy()) < 1e-6


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_a_program_of_torch_export_is_named():
    file = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(3, 2), (torch.ones(1, 3),)), file)
    check_refused(file.getvalue(), "got a program of torch.export: save the module's state_dict()")


def test_a_module_says_its_dropout():
    module = torch.nn.GRU(2, 3, 2, dropout=0.25, batch_first=True)
    assert repr(fastlstm.load(saved(module))) == "GRU(2, 3, num_layers=2, batch_first=True, dropout=0.25)"


def test_checkpoints_of_training():
    """The optimiser's tensors are no layers; DataParallel's names have a prefix."""
    module = torch.nn.DataParallel(torch.nn.LSTM(2, 3))
    optimiser = torch.optim.Adam(module.parameters())
    module.module(torch.ones(4, 1, 2))[0].sum().backward()
    optimiser.step()
    data = saved({"model": module.state_dict(), "optimizer": optimiser.state_dict(), "epoch": 3})
    check_refused(data, "prefix=... names the part of a file that is wanted")
    assert repr(fastlstm.load(data, prefix="model")) == "LSTM(2, 3)"
