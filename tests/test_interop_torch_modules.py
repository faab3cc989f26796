"""PyTorch's own inputs, references and refusals for its recurrent modules, on ours."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # PyTorch's testing needs it

from torch.testing._internal.common_modules import ModuleErrorEnum, module_db  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from fastlstm.interop import torch as ours  # noqa: E402
from fastlstm.interop.torch import modules  # noqa: E402


@pytest.fixture(autouse=True)
def ours_for_any_number_of_steps(monkeypatch):
    """Few steps take PyTorch's pass in training, which would be compared with itself here."""
    monkeypatch.setattr(modules, "FEWEST_STEPS", dict.fromkeys(modules.FEWEST_STEPS, 0))


OURS = {torch.nn.LSTM: ours.LSTM, torch.nn.GRU: ours.GRU, torch.nn.RNN: ours.RNN}
CASES = [info for info in module_db if info.module_cls in OURS]


def inputs(info, dtype, training=True):
    """Return PyTorch's inputs for a module, those of packed sequences among them where it has such."""
    told = {"device": "cpu", "dtype": dtype, "requires_grad": True, "training": training}
    if info.module_cls is not torch.nn.LSTM:
        told["with_packed_sequence"] = True
    return info.module_inputs_func(info, **told)


def differentiable(tree):
    return [part for part in tree_leaves(tree) if isinstance(part, torch.Tensor) and part.requires_grad]


def built(kind, given, dtype):
    return kind(*given.constructor_input.args, **given.constructor_input.kwargs).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("info", CASES, ids=lambda info: info.name)
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_forward(info, dtype):
    for given in inputs(info, dtype):
        mine, theirs = built(OURS[info.module_cls], given, dtype), built(info.module_cls, given, dtype)
        theirs.load_state_dict(mine.state_dict())
        args, kwargs = given.forward_input.args, given.forward_input.kwargs
        results = mine(*args, **kwargs)
        torch.testing.assert_close(results, theirs(*args, **kwargs))
        if not isinstance(args[0], torch.nn.utils.rnn.PackedSequence):  # whose reference is for tensors
            torch.testing.assert_close(results, given.reference_fn(mine, *args, **kwargs))


@pytest.mark.parametrize("info", CASES, ids=lambda info: info.name)
def test_gradients(info):
    for given in inputs(info, torch.float64)[::3]:
        mine = built(OURS[info.module_cls], given, torch.float64)
        args, kwargs = given.forward_input.args, given.forward_input.kwargs
        wanted = [*differentiable((args, kwargs)), *mine.parameters()]

        def results(*_, mine=mine, args=args, kwargs=kwargs):
            return differentiable(mine(*args, **kwargs))

        assert torch.autograd.gradcheck(results, wanted, fast_mode=True)


@pytest.mark.parametrize("info", CASES, ids=lambda info: info.name)
def test_refusals(info):
    told = {"device": "cpu", "dtype": torch.float32, "requires_grad": True, "training": True}
    for case in info.module_error_inputs_func(info, **told):
        given, kind = case.module_error_input, OURS[info.module_cls]
        expected = pytest.raises(case.error_type, match=case.error_regex)
        if case.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR:
            with expected:
                built(kind, given, torch.float32)
            continue
        mine = built(kind, given, torch.float32)
        with expected:
            mine(*given.forward_input.args, **given.forward_input.kwargs)
