"""PyTorch's modules on fastlstm, beside PyTorch's own."""

import copy
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence  # noqa: E402

from fastlstm.interop import torch as ours  # noqa: E402
from fastlstm.interop.torch import modules, packed  # noqa: E402
from fastlstm.interop.torch.packed import packed_of  # noqa: E402
from fastlstm.model.recurrent import Recurrent  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def ours_for_any_number_of_steps():
    """Few steps take PyTorch's pass in training, which would be compared with itself here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules, "FEWEST_STEPS", dict.fromkeys(modules.FEWEST_STEPS, 0))
        yield


PAIRS = {"LSTM": (torch.nn.LSTM, ours.LSTM), "GRU": (torch.nn.GRU, ours.GRU), "RNN": (torch.nn.RNN, ours.RNN)}
SMALL = {"input_size": 3, "hidden_size": 5, "num_layers": 2, "bidirectional": True}


def pair(kind, dtype=torch.float32, **options):
    """Return a module of PyTorch's and ours with the same weights."""
    theirs, mine = (cls(**(SMALL | options)).to(dtype) for cls in PAIRS[kind])
    mine.load_state_dict(theirs.state_dict())
    return theirs, mine


def leaves(value):
    """Return the tensors of a module's results."""
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [leaf for part in value for leaf in leaves(part)]


def gradients(module, *inputs, seed=1):
    """Return a module's results and the gradients of a random sum of them, of inputs and parameters."""
    results = leaves(module(*inputs))
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in results]
    total = sum((part * weight).sum() for part, weight in zip(results, weights, strict=True))
    wanted = [leaf for leaf in leaves(inputs) if leaf.requires_grad]
    return results, torch.autograd.grad(total, [*wanted, *module.parameters()])


def close(actual, expected, tolerance):
    """Assert that tensors are so close, relative to the largest number of each."""
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        scale = max(1.0, b.abs().max().item()) if b.numel() else 1.0
        assert (a - b).abs().max().item() <= tolerance * scale if b.numel() else True


def agree(theirs, mine, *inputs):
    double = next(theirs.parameters()).dtype == torch.float64
    (y, dx), (z, dz) = gradients(theirs, *inputs), gradients(mine, *inputs)
    close(z, y, 1e-12 if double else 1e-5)
    close(dz, dx, 1e-10 if double else 1e-4)


@st.composite
def problems(draw):
    """Draw a module of each side, and what to call it with."""
    kind, dtype = draw(st.sampled_from([*PAIRS])), draw(st.sampled_from([torch.float32, torch.float64]))
    options = {
        "input_size": draw(st.integers(1, 20)),
        "hidden_size": draw(st.integers(2, 20)),
        "num_layers": draw(st.integers(1, 3)),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
    }
    if kind == "LSTM" and draw(st.booleans()):
        options["proj_size"] = draw(st.integers(1, options["hidden_size"] - 1))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    theirs, mine = pair(kind, dtype, **options)
    T, B = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    layout = draw(st.sampled_from(["batch", "one", "packed", "strided"]))
    shape = (B, T) if theirs.batch_first else (T, B)
    columns = (2 if layout == "strided" else 1) * theirs.input_size
    x = torch.randn((T, columns) if layout == "one" else (*shape, columns), dtype=dtype)
    x = (x[..., ::2] if layout == "strided" else x).requires_grad_(layout != "packed")
    axes = () if layout == "one" else (B,)
    if layout == "packed":
        lengths = torch.randint(1, T + 1, (B,))
        x = pack_padded_sequence(x, lengths, batch_first=theirs.batch_first, enforce_sorted=False)
        x.data.requires_grad_()
    if not draw(st.booleans()):
        return theirs, mine, (x,)
    places = theirs.num_layers * (2 if theirs.bidirectional else 1)
    sizes = (theirs.proj_size or theirs.hidden_size, theirs.hidden_size)[: 2 if kind == "LSTM" else 1]
    state = [torch.randn(places, *axes, size, dtype=dtype, requires_grad=True) for size in sizes]
    return theirs, mine, (x, tuple(state) if kind == "LSTM" else state[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@settings(max_examples=40)
@given(problems())
def test_results_and_gradients_are_pytorchs(problem):
    agree(*problem[:2], *problem[2])


@pytest.mark.parametrize("kind", PAIRS)
def test_what_a_module_is_is_pytorchs(kind):
    theirs, mine = pair(kind, dropout=0.25, batch_first=True, bias=False)
    assert repr(mine) == repr(theirs)
    assert [*mine.state_dict()] == [*theirs.state_dict()]
    theirs.load_state_dict(mine.state_dict())
    torch.manual_seed(3)
    drawn = PAIRS[kind][0](4, 5)
    torch.manual_seed(3)
    again = PAIRS[kind][1](4, 5)
    close(again.parameters(), drawn.parameters(), 0)
    assert PAIRS[kind][1](4, 5, dtype=torch.float64, device="cpu").weight_hh_l0.dtype == torch.float64


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_draws_what_pytorchs_draws(kind, packed):
    theirs, mine = pair(kind, dropout=0.4, num_layers=3)
    x = torch.randn(7, 4, 3)
    if packed:
        x = pack_padded_sequence(x, [7, 6, 6, 2])
    for module in (theirs, mine):
        torch.manual_seed(5)
        module.dropped = leaves(module(x))
    close(mine.dropped, theirs.dropped, 1e-5)
    assert not torch.equal(mine.dropped[0], leaves(mine(x))[0])
    close(leaves(mine.eval()(x)), leaves(theirs.eval()(x)), 1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_shorter_floats_are_calculated_in_float32(kind):
    theirs, mine = pair(kind, torch.bfloat16)
    x = torch.randn(7, 4, 3, dtype=torch.bfloat16)
    results, its = gradients(mine, x)
    assert {part.dtype for part in (*results, *its)} == {torch.bfloat16}
    close(results, [part.bfloat16() for part in leaves(theirs.float()(x.float()))], 1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert mine.float()(x)[0].dtype == torch.bfloat16


# Weights


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("hidden_size", [5, 80])
def test_weights_are_pytorchs_at_every_pass(kind, hidden_size):
    """However they change: by an optimiser, `.data`, another parameter, or a hook that computes them."""
    theirs, mine = pair(kind, hidden_size=hidden_size, num_layers=1, bidirectional=False)
    x = torch.randn(4, 2, 3)

    def by_optimiser(module):
        module(x)[0].pow(2).sum().backward()
        torch.optim.SGD(module.parameters(), 0.5).step()

    def by_data(module):
        module.weight_hh_l0.data.mul_(0.5)

    def of_a_bias(module):
        module.bias_ih_l0.data[hidden_size : 2 * hidden_size] = 1.0

    def by_pointer(module):
        module.weight_hh_l0.data = module.weight_hh_l0.data.flip(0).contiguous()

    def of_a_view(module):
        with torch.no_grad():
            module.weight_ih_l0.view(-1)[3] = 2.0

    def replaced(module):
        module.weight_hh_l0 = torch.nn.Parameter(module.weight_hh_l0.detach() * 2)

    def normalised(module):
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        module.parametrizations.weight_hh_l0.original0.data.mul_(1.5)

    changes = (by_optimiser, by_data, of_a_bias, by_pointer, of_a_view, replaced)
    for change in (*changes, normalised):
        for module in (theirs, mine):
            change(module)
        if change is normalised:
            mine.load_state_dict(theirs.state_dict())
        close(leaves(mine(x)), leaves(theirs(x)), 1e-5)


def test_weights_are_packed_once():
    _, mine = pair("LSTM")
    form, x = ours.modules.Form("LSTM", 2, True, True), torch.randn(4, 2, 3)
    mine(x)
    first = packed_of(form, mine._weights())
    mine(x)[0].sum().backward()
    assert packed_of(form, mine._weights()) is first
    with torch.no_grad():
        mine.bias_hh_l1.add_(0)
    assert packed_of(form, mine._weights()) is not first


def test_weights_of_many_processes_are_packed_at_every_pass():
    _, mine = pair("GRU")
    mine.share_memory()
    form = ours.modules.Form("GRU", 2, True, True)
    assert packed_of(form, mine._weights()) is not packed_of(form, mine._weights())


def test_what_was_packed_goes_with_the_module():
    before = len(packed._packed)
    mine = ours.GRU(3, 5)
    mine(torch.randn(4, 2, 3))
    assert len(packed._packed) == before + 1
    del mine
    assert len(packed._packed) == before


# Autograd


@pytest.mark.parametrize("kind", PAIRS)
def test_gradcheck(kind):
    _, mine = pair(kind, torch.float64, input_size=2, hidden_size=3)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    inputs = (x, *mine.parameters())
    results = lambda *_: tuple(leaves(mine(x)))  # noqa: E731
    assert torch.autograd.gradcheck(results, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(results, inputs, fast_mode=True)


@pytest.mark.parametrize("kind", PAIRS)
def test_second_derivatives_of_packed_sequences(kind):
    theirs, mine = pair(kind, torch.float64)
    found = []
    for module in (theirs, mine):
        torch.manual_seed(0)
        data = pack_sequence([torch.randn(n, 3, dtype=torch.float64) for n in (4, 2)])
        data.data.requires_grad_()
        (first,) = torch.autograd.grad(module(data)[0].data.pow(2).sum(), data.data, create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), [*module.parameters()]))
    close(found[1], found[0], 1e-10)


def test_a_graph_that_is_retained_is_there_again():
    _, mine = pair("LSTM")
    x = torch.randn(4, 2, 3, requires_grad=True)
    total = mine(x)[0].pow(2).sum()
    first = torch.autograd.grad(total, [x, *mine.parameters()], retain_graph=True)
    again = torch.autograd.grad(total, [x, *mine.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        total.backward()


def test_an_input_that_changed_in_place_is_refused():
    _, mine = pair("GRU")
    x = torch.randn(4, 2, 3)
    total = mine(x)[0].sum()
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_only_what_is_asked_for_has_gradients():
    _, mine = pair("LSTM")
    x = torch.randn(4, 2, 3, requires_grad=True)
    mine.requires_grad_(False)
    mine(x)[0].sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in mine.parameters())
    with torch.no_grad():
        assert not mine(x)[0].requires_grad
    with torch.inference_mode():
        assert mine(x)[0].is_inference()


def test_a_pass_whose_worker_was_late_keeps_what_backward_needs(monkeypatch):
    """Then the core writes to other memory than it was given."""
    theirs, mine = pair("LSTM")
    run = Recurrent._run_over

    def late(self, *arguments, **options):
        y, final, tape = run(self, *arguments, **options)
        if tape is not None:
            kept = tape._kept
            kept.workspace.late = True
            for arrays in (kept.outputs, kept.gates, kept.cells):
                copies = [array.copy() for array in arrays]
                for array in arrays:
                    array[...] = np.nan
                arrays[:] = copies
        return y, final, tape

    monkeypatch.setattr(Recurrent, "_run_over", late)
    agree(theirs, mine, torch.randn(4, 2, 3))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("steps", range(1, 6))
def test_few_steps_are_pytorchs_in_training(kind, steps, monkeypatch):
    fewest = {"LSTM": 1, "GRU": 3, "RNN_TANH": 5}
    monkeypatch.setattr(modules, "FEWEST_STEPS", fewest)
    theirs, mine = pair(kind)
    agree(theirs, mine, torch.randn(steps, 2, 3, requires_grad=True))
    name = type(mine(torch.randn(steps, 2, 3))[0].grad_fn).__name__
    assert name.startswith("_Pass") == (steps >= fewest[mine.mode])


# What else is done with modules


@pytest.mark.parametrize("kind", PAIRS)
def test_copies_and_pickles(kind):
    _, mine = pair(kind)
    x = torch.randn(4, 2, 3)
    expected = mine(x)[0]
    file = io.BytesIO()
    torch.save(mine, file)
    file.seek(0)
    for other in (
        copy.deepcopy(mine),
        pickle.loads(pickle.dumps(mine)),
        torch.load(file, weights_only=False),
    ):
        assert type(other) is type(mine)
        assert torch.equal(other(x)[0], expected)
        with torch.no_grad():
            other.weight_ih_l0.zero_()
        assert torch.equal(mine(x)[0], expected)


class Tagger(torch.nn.Module):
    def __init__(self, recurrent):
        super().__init__()
        self.words = torch.nn.Embedding(11, 3)
        self.read = recurrent(3, 5, 2, batch_first=True, bidirectional=True)
        self.tag = torch.nn.Linear(10, 4)

    def forward(self, words):
        return self.tag(self.read(self.words(words))[0])


@pytest.mark.parametrize(("kind", "dynamic"), [("LSTM", False), ("GRU", True)])
def test_compiled_and_exported(kind, dynamic):
    tagger = Tagger(PAIRS[kind][1])
    words = torch.randint(0, 11, (4, 6))
    expected = tagger(words)
    its = torch.autograd.grad(expected.pow(2).sum(), [*tagger.parameters()])
    torch._dynamo.reset()
    compiled = torch.compile(tagger, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    close([compiled(words)], [expected], 1e-6)
    close(torch.autograd.grad(compiled(words).pow(2).sum(), [*tagger.parameters()]), its, 1e-5)
    sizes = ({0: torch.export.Dim("B", min=2), 1: torch.export.Dim("T", min=2)},) if dynamic else None
    exported = torch.export.export(tagger, (words,), dynamic_shapes=sizes)
    others = torch.randint(0, 11, (3, 8)) if dynamic else words
    close([exported.module()(others)], [tagger(others)], 1e-6)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_operator_is_what_pytorch_expects_of_one(kind):
    _, mine = pair(kind)
    state = [torch.randn(4, 2, 5) for _ in range(mine._states)]
    torch.library.opcheck(
        torch.ops.fastlstm.recurrent.default,
        (torch.randn(4, 2, 3), state, mine._weights(), None, mine.mode, 2, True, True),
    )


@pytest.mark.parametrize("kind", PAIRS)
def test_mapped_over_places(kind):
    theirs, mine = pair(kind)
    x = torch.randn(4, 3, 2, 3)
    call = lambda x: mine(x)[0]  # noqa: E731
    expected = torch.stack([theirs(part)[0] for part in x.unbind(1)])
    close([torch.vmap(call, in_dims=1)(x)], [expected], 1e-5)

    def loss(parameters, x):
        return torch.func.functional_call(mine, parameters, (x,))[0].pow(2).sum()

    parameters = dict(mine.named_parameters())
    per_place = torch.vmap(torch.func.grad(loss), in_dims=(None, 1))(parameters, x)
    for k, part in enumerate(x.unbind(1)):
        its = torch.autograd.grad(theirs(part)[0].pow(2).sum(), [*theirs.parameters()])
        close([gradient[k] for gradient in per_place.values()], its, 1e-4)
    weights, _ = torch.func.stack_module_state([mine, copy.deepcopy(mine)])
    both = torch.vmap(lambda w, x: torch.func.functional_call(mine, w, (x,))[0], in_dims=(0, None))
    close(both(weights, x[:, 0]), [mine(x[:, 0])[0]] * 2, 0)


@pytest.mark.parametrize("kind", PAIRS)
def test_on_other_devices(kind):
    _, mine = pair(kind)
    with pytest.raises(ValueError, match="input: expected a tensor on the CPU, got one on xla"):
        mine(Elsewhere())
    assert mine.to("meta")(torch.empty(4, 2, 3, device="meta"))[0].shape == (4, 2, 10)


class Elsewhere:
    """What the check of an input sees of a tensor on another device."""

    device = torch.device("xla")
    is_cpu = is_meta = False
    shape = (4, 2, 3)

    def dim(self):
        return 3


@pytest.mark.parametrize("kind", PAIRS)
def test_bad_calls_are_refused_as_pytorch_refuses_them(kind):
    for module in pair(kind):
        with pytest.raises(ValueError, match="Expected input to be 2D or 3D, got 1D"):
            module(torch.randn(3))
        with pytest.raises(RuntimeError, match=r"must be equal to input_size\. Expected 3, got 4"):
            module(torch.randn(4, 2, 4))
        with pytest.raises(ValueError, match="does not match weight dtype"):
            module(torch.randn(4, 2, 3, dtype=torch.float64))
        state = torch.randn(4, 1, 5)
        with pytest.raises(RuntimeError, match=r"Expected hidden.* size \(4, 2, 5\), got \[4, 1, 5\]"):
            module(torch.randn(4, 2, 3), (state, state) if kind == "LSTM" else state)
        with pytest.raises(RuntimeError, match="For unbatched 2-D input"):
            module(torch.randn(4, 3), (state, state) if kind == "LSTM" else state)
    with pytest.raises(ValueError, match="Unknown nonlinearity: expected 'tanh' or 'relu', got 'cos'"):
        ours.RNN(3, 5, nonlinearity="cos")


@pytest.mark.parametrize("kind", ["GRU", "RNN"])
def test_a_projection_is_an_lstms_alone(kind):
    for cls in PAIRS[kind]:
        with pytest.raises(ValueError, match="proj_size argument is only supported for LSTM"):
            cls(3, 5, proj_size=2)
        with pytest.raises(TypeError, match="unexpected keyword argument 'sizes'"):
            cls(3, 5, sizes=2)


# accelerate


class Own(torch.nn.LSTM):
    pass


class Many(torch.nn.Module):
    """Recurrent modules of all kinds, and others."""

    def __init__(self):
        super().__init__()
        self.tagger = Tagger(torch.nn.LSTM)
        self.stack = torch.nn.Sequential(torch.nn.RNN(3, 5), torch.nn.Linear(5, 2))
        self.again = self.stack[0]
        self.own = Own(3, 5)
        self.cell = torch.nn.GRUCell(3, 5)
        self.elsewhere = torch.nn.GRU(3, 5, device="meta")
        self.ours = ours.GRU(3, 5)
        self.patched = torch.nn.GRU(3, 5)
        self.patched.forward = lambda x: x
        self.scripted = torch.jit.script(torch.nn.GRU(3, 5))
        self.mixed = torch.nn.GRU(3, 5)
        self.mixed.bias_ih_l0.data = self.mixed.bias_ih_l0.data.double()


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_accelerate_says_what_it_replaced_and_what_not(inplace):
    model = Many()
    words = torch.randint(0, 11, (2, 4))
    expected = model.tagger(words)
    seen = []
    model.tagger.read.register_forward_hook(lambda *_: seen.append("hook"))
    faster, report = ours.accelerate(model, inplace=inplace)
    assert (faster is model) == inplace
    assert type(model.tagger.read) is (ours.LSTM if inplace else torch.nn.LSTM)
    assert str(report).splitlines() == [
        "tagger.read: replaced by fastlstm.interop.torch.LSTM",
        "stack.0: replaced by fastlstm.interop.torch.RNN",
        f"own: left, a subclass, {__name__}.Own, that may run otherwise",
        "cell: left, a cell, torch.nn.modules.rnn.GRUCell, that its model steps by itself",
        "elsewhere: left, its weights are on meta",
        "ours: left, it is ours already, fastlstm.interop.torch.modules.GRU",
        "patched: left, its forward was replaced by another",
        "scripted: left, compiled by TorchScript",
        "mixed: left, its weights have several dtypes",
    ]
    assert faster.again is faster.stack[0]
    close([faster.tagger(words)], [expected], 1e-6)
    assert seen == ["hook"]
    assert str(ours.accelerate(torch.nn.Linear(3, 5))[1]) == "no recurrent modules"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_quantised_modules_are_left():
    quantised = torch.ao.quantization.quantize_dynamic(Tagger(torch.nn.LSTM), {torch.nn.LSTM})
    _, report = ours.accelerate(quantised, inplace=True)
    assert report.left["read"].startswith("quantised, torch.ao.nn.quantized.dynamic")
    assert not report.replaced


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((3,), "model: expected a torch.nn.Module, got int"),
        ((torch.nn.Linear(3, 5), 1), "inplace: expected True or False, got 1"),
    ],
)
def test_accelerate_refuses_what_is_no_model(arguments, sentence):
    with pytest.raises(TypeError, match=sentence):
        ours.accelerate(*arguments)


def test_page(capsys):
    """The code of docs/pytorch.md runs."""
    page = Path(__file__).parents[1] / "docs" / "pytorch.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(block, str(page), "exec"), names)
    assert capsys.readouterr().out == "read: replaced by fastlstm.interop.torch.LSTM\n"
    assert names["tagger"].read.weight_hh_l1.grad is not None
