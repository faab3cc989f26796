"""`accelerate`: graphs cut at their recurrent nodes give what ONNX Runtime gives of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import distance

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from support_onnx import model_of, session_of, typed, weights_of  # noqa: E402

import fastlstm  # noqa: E402
from fastlstm.interop.onnx import accelerate, export, load, runtimes  # noqa: E402
from fastlstm.interop.onnx import session as sessions  # noqa: E402

T, B, I, H = 4, 3, 3, 5  # noqa: E741
node = onnx.helper.make_node
array = np.array


@pytest.fixture(autouse=True)
def cut(monkeypatch):
    """Let small graphs be cut, too, which the runtime alone runs faster."""
    monkeypatch.setattr(sessions, "LEAST_WORK", 0.0)


def recurrent(kind, source, constants, name, I=I, rest=(), outputs=None, **attributes):  # noqa: E741
    """Return a node with random weights, which are added to the constants."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    weights = weights_of(kind, directions, I, H, np.random.default_rng(len(constants)))
    own = {f"{name}_{part}": values for part, values in weights.items()}
    constants |= own
    outputs = outputs or [f"{name}_y", f"{name}_h"]
    return node(kind, [source, *own, *rest], outputs, name=name, hidden_size=H, **attributes)


def feeds_of(session, rng, sizes):
    feeds = {}
    for value in session.get_inputs():
        shape = [sizes.get(size, size) for size in value.shape]
        feeds[value.name] = rng.standard_normal(shape).astype("f")
    return feeds


def check(model, kinds, sizes=(), **feeds):
    """Assert that a graph is cut into such parts, and gives what the whole gives."""
    session, whole = accelerate(model.SerializeToString()), session_of(model)
    assert [type(piece).__name__ for piece, _ in session._stages if piece is not None] == kinds
    given = feeds_of(session, np.random.default_rng(0), dict(sizes)) | feeds
    theirs = whole.run(None, given)
    for mine, other in zip(session.run(None, given), theirs, strict=True):
        assert mine.dtype == other.dtype
        assert mine.shape == other.shape
        assert distance(mine, other) <= 1e-5 if mine.dtype == np.float32 else np.array_equal(mine, other)
    return session


def x_of(shape=(T, B, I)):
    return [typed("x", "f", shape)]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_stacks_between_other_nodes(data):
    """A convolution, two recurrent layers of any kind and direction, and a product."""
    draw = data.draw
    first, second = draw(st.sampled_from(["LSTM", "GRU", "RNN"])), draw(st.sampled_from(["LSTM", "GRU"]))
    both = draw(st.booleans())
    constants = {
        "filters": np.random.default_rng(0).uniform(-0.5, 0.5, (I, I, 3)).astype("f"),
        "flat": array([0, 0, -1]),
        "one": array([1]),
        "dense": np.random.default_rng(1).uniform(-0.5, 0.5, (H, 2)).astype("f"),
    }
    nodes = [
        node("Conv", ["x", "filters"], ["features"], pads=[1, 1]),
        node("Transpose", ["features"], ["steps"], perm=[2, 0, 1]),
    ]
    direction = "bidirectional" if both else draw(st.sampled_from(["forward", "reverse"]))
    nodes.append(recurrent(first, "steps", constants, "first", direction=direction))
    if both:
        nodes += [
            node("Transpose", ["first_y"], ["turned"], perm=[0, 2, 1, 3]),
            node("Reshape", ["turned", "flat"], ["between"]),
        ]
    else:
        nodes.append(node("Squeeze", ["first_y", "one"], ["between"]))
    lengths = ["lengths"] if draw(st.booleans()) else []
    inputs = [typed("x", "f", (B, I, "time")), *([typed("lengths", "i4", (B,))] if lengths else [])]
    nodes += [
        recurrent(second, "between", constants, "second", (2 if both else 1) * H, lengths),
        node("Squeeze", ["second_y", "one"], ["rows"]),
        node("MatMul", ["rows", "dense"], ["y"]),
    ]
    outputs = [typed(name, "f") for name in ("y", "first_h", "second_h")]
    steps = draw(st.integers(1, 6))
    ragged = {"lengths": np.random.default_rng(2).integers(0, steps + 1, B).astype("i4")} if lengths else {}
    session = check(
        model_of(nodes, inputs, outputs, constants),
        ["OnnxRuntime", "Moves", "OnnxRuntime"],
        {"time": steps},
        **ragged,
    )
    assert session.report == (f"{first} 'first': fastlstm", f"{second} 'second': fastlstm")


def test_what_is_exported_runs_with_lengths_and_states():
    model = fastlstm.Sequential(
        fastlstm.LSTM(I, H, 2, bidirectional=True, batch_first=True, rng=0),
        fastlstm.LastStep(),
        fastlstm.Linear(2 * H, 2, rng=1),
    )
    session = accelerate(export(model, lengths=True, state=True))
    assert [value.name for value in session.get_inputs()] == ["x", "lengths", "0.h_0", "0.c_0"]
    assert session.get_inputs()[1] == ("lengths", "tensor(int32)", ["batch"])
    assert session.get_outputs()[0] == ("y", "tensor(float)", ["batch", 2])
    rng = np.random.default_rng(0)
    x, h, c = (rng.standard_normal(shape).astype("f") for shape in ((B, T, I), (4, B, H), (4, B, H)))
    lengths = array([4, 0, 2], "i4")
    y, (state,) = model.run(x, [(h, c)], lengths=lengths)
    feeds = {"x": x, "lengths": lengths, "0.h_0": h, "0.c_0": c}
    results = session.run(["0.c_n", "y"], feeds)
    assert distance(results[1], y) <= 1e-6
    assert distance(results[0], state[1]) <= 1e-6


def test_a_tensor_that_is_also_an_input_may_be_another_in_a_call(monkeypatch):
    constants = {"start": np.zeros((1, B, H), "f"), "plus": np.ones(1, "f")}
    lstm = recurrent("LSTM", "x", constants, "lstm", rest=["", "start"])
    sum_ = node("Add", ["lstm_y", "plus"], ["y"])
    inputs = [*x_of(), typed("start", "f", (1, B, H)), typed("plus", "f", (1,))]
    model = model_of([lstm, sum_], inputs, [typed("y", "f")], constants)
    session = check(model, ["OnnxRuntime"])
    assert [value.name for value in session.get_inputs()] == ["x"]
    check(model, ["OnnxRuntime"], start=np.full((1, B, H), 0.3, "f"), plus=np.full(1, 5, "f"))
    monkeypatch.undo()  # and where the runtime alone runs it
    check(model, ["OnnxRuntime"], start=np.full((1, B, H), 0.3, "f"), plus=np.full(1, 5, "f"))
    model.ir_version = 3  # where all tensors are inputs
    assert not accelerate(model)._defaults


def test_nodes_with_the_same_weights_share_what_is_packed():
    """As exporters unroll a loop: each step a node, which names the weights anew."""
    constants = {}
    first = recurrent("GRU", "x", constants, "gru")
    names = [f"again_{name}" for name in constants]
    copies = [node("Identity", [name], [copy]) for name, copy in zip(constants, names, strict=True)]
    second = node("GRU", ["x", *names], ["y"], hidden_size=H)
    model = model_of([*copies, first, second], x_of(), [typed("gru_y", "f"), typed("y", "f")], constants)
    session = check(model, [])
    assert len({id(one.operator) for _, stage in session._stages for one in stage.recurrent}) == 1


def test_nodes_whose_weights_come_with_each_call_share_nothing():
    weights = weights_of("GRU", 1, I, H, np.random.default_rng(0))
    inputs = [*x_of(), *(typed(name, "f", array.shape) for name, array in weights.items())]
    nodes = [node("GRU", ["x", *weights], [y], hidden_size=H) for y in "yz"]
    session = check(model_of(nodes, inputs, [typed(y, "f") for y in "yz"]), [], **weights)
    assert len({id(one.operator) for _, stage in session._stages for one in stage.recurrent}) == 2


def test_weights_that_come_with_each_call():
    weights = weights_of("GRU", 1, I, H, np.random.default_rng(0))
    inputs = [*x_of(), *(typed(name, "f", array.shape) for name, array in weights.items())]
    gru = node("GRU", ["x", *weights], ["", "h"], hidden_size=H)
    session = check(model_of([gru], inputs, [typed("h", "f")]), [])
    for seed in (1, 2):
        feeds = feeds_of(session, np.random.default_rng(seed), {})
        theirs = session_of(model_of([gru], inputs, [typed("h", "f")])).run(None, feeds)
        assert distance(session.run(None, feeds)[0], theirs[0]) <= 1e-5


def test_states_of_zeros_that_the_graph_makes_are_left_out():
    """As PyTorch exports them: of as many sequences as x has."""
    constants = {"at": array([1]), "one": array([1]), "size": array([H])}
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "at"], ["batch"], axis=0),
        node("Concat", ["one", "batch", "size"], ["whole"], axis=0),
        node("ConstantOfShape", ["whole"], ["zeros"]),
        recurrent("LSTM", "x", constants, "lstm", rest=["", "zeros", "zeros"]),
    ]
    check(model_of(nodes, x_of(), [typed("lstm_h", "f")], constants), [])


def body_with_lstm(constants):
    """Return the body of a loop that runs an LSTM over what a step before gave, of H numbers."""
    lstm = recurrent("LSTM", "before", constants, "inner", H, outputs=["", "state"])
    add = node("Add", ["before", "state"], ["after"])
    keep = node("Identity", ["go"], ["on"])
    kinds = [typed("k", "i8", ()), typed("go", "?", ()), typed("before", "f", ("t", B, H))]
    return onnx.helper.make_graph(
        [lstm, add, keep], "body", kinds, [typed("on", "?", ()), typed("after", "f", ("t", B, H))]
    )


def test_loops_are_left_whole_and_read_what_is_around_them():
    constants = {"times": array(2), "go_on": array(True), "one": array([1])}
    body = body_with_lstm(constants)
    nodes = [
        recurrent("LSTM", "x", constants, "outer"),
        node("Squeeze", ["outer_y", "one"], ["rows"]),
        node("Loop", ["times", "go_on", "rows"], ["y"], name="loop", body=body),
    ]
    session = check(model_of(nodes, x_of(), [typed("y", "f")], constants), ["OnnxRuntime"])
    assert session.report == (
        "LSTM 'outer': fastlstm",
        "Loop 'loop': the runtime, whole, with LSTM 'inner' inside, as it reads or carries something else "
        "than x, a mask, h and c",
    )


def test_a_branch_that_reads_a_recurrent_output_only_inside():
    constants = {"go": array(True)}

    def branch(kind):
        inner = node(kind, ["lstm_y"], [f"of_{kind}"])
        return onnx.helper.make_graph([inner], kind, [], [typed(f"of_{kind}", "f")])

    choice = node("If", ["go"], ["y"], name="if", then_branch=branch("Neg"), else_branch=branch("Abs"))
    nodes = [recurrent("LSTM", "x", constants, "lstm"), choice]
    check(model_of(nodes, x_of(), [typed("y", "f")], constants), ["OnnxRuntime"])


def test_what_fastlstm_has_not_is_left_to_the_runtime_and_said():
    constants = {}
    odd = {"activations": ["Sigmoid", "LeakyRelu", "Tanh"], "activation_alpha": [0.0]}
    lstm = recurrent("LSTM", "x", constants, "odd", **odd)
    session = check(model_of([lstm], x_of(), [typed("odd_y", "f")], constants), ["OnnxRuntime"])
    (sentence,) = session.report
    assert sentence.startswith(
        "LSTM 'odd': the runtime, as fastlstm can't have it (activations[1]: expected an alpha"
    )


def test_a_projected_lstm_as_pytorch_exports_it_is_named():
    """Its R has fewer columns than there are units, which ONNX does not have, and W_hr is lost."""
    weights = {"W": (1, 4 * H, I), "R": (1, 4 * H, 2), "B": (1, 8 * H)}
    constants = {name: np.ones(shape, "f") for name, shape in weights.items()}
    lstm = node("LSTM", ["x", *constants], ["y"], name="lstm", hidden_size=H)
    model = model_of([lstm], x_of(), [typed("y", "f")], constants)
    session = accelerate(model)
    assert "as ONNX has no projection of h, got (1, 20, 2)" in session.report[0]
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        session.run(None, {"x": np.ones((T, B, I), "f")})


def test_a_sequence_may_cross_a_cut():
    constants = {"at": array(0)}
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["both"]),
        recurrent("GRU", "x", constants, "gru"),
        node("SequenceInsert", ["both", "gru_y"], ["more"]),
        node("SequenceAt", ["more", "at"], ["y"]),
    ]
    check(model_of(nodes, x_of(), [typed("y", "f")], constants), ["OnnxRuntime", "OnnxRuntime"])


def test_outputs_that_are_inputs_or_constants_and_nodes_that_nobody_needs():
    constants = {"fixed": np.arange(3.0).astype("f")}
    nodes = [
        recurrent("RNN", "x", constants, "rnn"),
        node("Identity", ["fixed"], ["copy"]),
        node("Abs", ["rnn_y"], ["unused"]),
    ]
    outputs = [typed("rnn_y", "f"), typed("copy", "f")]
    session = accelerate(model_of(nodes, x_of(), outputs, constants))
    assert [piece for piece, _ in session._stages if piece is not None] == []
    (copy,) = session.run(["copy"], {"x": np.ones((T, B, I), "f")})
    np.testing.assert_array_equal(copy, constants["fixed"])


def test_without_onnx_runtime_the_reference_runs_the_rest(monkeypatch):
    constants = {"dense": np.random.default_rng(0).uniform(-1, 1, (H, 2)).astype("f")}
    nodes = [recurrent("GRU", "x", constants, "gru"), node("MatMul", ["gru_y", "dense"], ["y"])]
    model = model_of(nodes, x_of(), [typed("y", "f")], constants)
    expected = session_of(model)
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    session = accelerate(model)
    assert isinstance(session._stages[1][0], runtimes.Reference)
    x = np.random.default_rng(1).standard_normal((T, B, I)).astype("f")
    assert distance(session.run(None, {"x": x})[0], expected.run(None, {"x": x})[0]) <= 1e-5
    nodes[1] = node("Imaginary", ["gru_y"], ["y"], domain="of.others")
    with pytest.raises(ValueError, match=r"^model: expected a graph that onnx.reference takes, got \("):
        accelerate(model_of(nodes, x_of(), [typed("y", "f")], constants, domains=["of.others"]))


def test_what_does_not_fit_is_refused():
    constants = {}
    nodes = [recurrent("GRU", "x", constants, "gru")]
    session = accelerate(model_of(nodes, x_of(), [typed("gru_y", "f")], constants))
    x = np.ones((T, B, I), "f")
    for feeds in ({}, {"x": x, "z": x}, {"y": x}):
        with pytest.raises(ValueError, match=r"^input_feed: expected x, got"):
            session.run(None, feeds)
    with pytest.raises(ValueError, match=r"^output_names: expected some of gru_y, got 'y'"):
        session.run(["y"], {"x": x})
    with pytest.raises(TypeError, match=r"^input_feed: expected a mapping of names to arrays, got list"):
        session.run(None, [x])
    with pytest.raises(ValueError, match=r"^GRU 'gru': x: expected shape \(T, B, I\)"):
        session.run(None, {"x": x[..., :2]})
    with pytest.raises(ValueError, match=r"^Abs 'n': expected inputs that nodes before it give, got 'later'"):
        accelerate(model_of([node("Abs", ["later"], ["y"], name="n")], x_of(), [typed("y", "f")]))
    with pytest.raises(ValueError, match=r"^model: expected a graph that ONNX Runtime takes, got \("):
        accelerate(model_of([node("Imaginary", ["x"], ["y"])], x_of(), [typed("y", "f")]))
    without_x = recurrent("GRU", "", {}, "gru")
    with pytest.raises(ValueError, match=r"^model: expected a graph that ONNX Runtime takes, got \("):
        accelerate(model_of([without_x], x_of(), [typed("gru_y", "f")], constants))


@pytest.mark.parametrize("kind", ["Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "GRU", "Loop"])
def test_nodes_with_fewer_inputs_than_they_need_are_refused(kind):
    inputs = [] if kind in ("Identity", "Transpose", "Squeeze") else ["x"]
    model = model_of([node(kind, inputs, ["y"], name="n")], x_of(), [typed("y", "f")])
    for reads in (load, accelerate):
        with pytest.raises(ValueError, match=rf"^{kind} 'n': expected at least \d inputs and \d outputs"):
            reads(model)


def test_what_the_reference_does_not_take_is_refused(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    softmax = node("Softmax", ["x"], ["y"], axis=1)
    softmax.attribute[0].ClearField("type")
    with pytest.raises(ValueError, match=r"^model: expected a graph that onnx.reference takes, got \("):
        accelerate(model_of([softmax], x_of(), [typed("y", "f")]))


def test_axes_that_are_no_whole_numbers_are_refused():
    model = export(fastlstm.LSTM(I, H, rng=0))
    (squeeze,) = (one for one in model.graph.node if one.op_type == "Squeeze")
    model.graph.initializer.append(onnx.numpy_helper.from_array(array([0.5], "f"), "half"))
    squeeze.input[1] = "half"
    for reads in (load, accelerate):
        with pytest.raises(ValueError, match=r"^half: expected whole numbers, got float32"):
            reads(model)


def test_attributes_of_another_kind_are_refused():
    turned = node("Transpose", ["x"], ["y"], name="n", perm=0.5)
    model = model_of([turned], x_of(), [typed("y", "f")])
    for reads in (load, accelerate):
        with pytest.raises(ValueError, match=r"^Transpose 'n': perm: expected INTS, got FLOAT"):
            reads(model)


def test_a_scan_of_more_than_it_reads_is_refused(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    model = export(fastlstm.SLSTM(I, H, rng=0))
    (scan,) = (one for one in model.graph.node if one.op_type == "Scan")
    (count,) = (one for one in scan.attribute if one.name == "num_scan_inputs")
    for number in (1 << 40, -1, 0, 6):
        count.i = number
        with pytest.raises(
            ValueError, match=rf"^Scan '.*': expected num_scan_inputs from 1 to 5, got {number}"
        ):
            accelerate(model)


def test_types_are_known_across_nodes_that_onnx_does_not_know():
    model = fastlstm.quantize(fastlstm.LSTM(16, 32, 2, bidirectional=True, rng=0), "int8")
    session = accelerate(export(model))
    assert all(sentence.endswith(": fastlstm") for sentence in session.report)
    x = np.random.default_rng(0).standard_normal((T, B, 16)).astype("f")
    assert distance(session.run(None, {"x": x})[0], model(x)[0]) <= 0.02


def test_calls_of_little_work_are_left_to_the_runtime_whole(monkeypatch):
    monkeypatch.undo()
    constants = {"one": array([1])}
    nodes = [
        node("Abs", ["x"], ["size"]),
        recurrent("LSTM", "size", constants, "lstm"),
        node("Squeeze", ["lstm_y", "one"], ["rows"]),
        node("Neg", ["rows"], ["y"]),
    ]
    model = model_of(
        nodes, [typed("x", "f", ["t", "b", I])], [typed("y", "f"), typed("lstm_h", "f")], constants
    )
    session, whole = accelerate(model), session_of(model)
    x = np.random.default_rng(0).standard_normal((2000, B, I)).astype("f")
    for steps in (2, 2000, 2, 3):
        given = {"x": x[:steps]}
        theirs, mine = whole.run(None, given), session.run(None, given)
        assert distance(mine[0], theirs[0]) <= 1e-5
        if steps < 10:
            np.testing.assert_array_equal(mine[0], theirs[0])
    assert session.left_whole == [{"x": (2, B, I)}, {"x": (3, B, I)}]
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    session = accelerate(model)
    session.run(None, {"x": x[:2]})
    assert not session.left_whole


def refusal_of(content, otherwise):
    """Return the sentence with which damaged content is refused."""
    try:
        accelerate(content)
    except ValueError as error:
        return str(error)
    return otherwise


def test_bytes_changed_anywhere_are_a_session_or_refused_with_a_sentence():
    constants = {"one": array([1])}
    nodes = [recurrent("LSTM", "x", constants, "lstm"), node("Squeeze", ["lstm_y", "one"], ["y"])]
    content = model_of(nodes, x_of(), [typed("y", "f")], constants).SerializeToString()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 150):
        changed = bytearray(content)
        changed[place] = rng.integers(256)
        assert ": expected " in refusal_of(bytes(changed), ": expected ")
