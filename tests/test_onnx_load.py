"""`load` of graphs: layers one after another become models, and what can't be carried is named."""

import copy
import itertools

import numpy as np
import pytest
from support import distance

onnx = pytest.importorskip("onnx", reason="needs onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from support_onnx import model_of, session_of, typed, weights_of  # noqa: E402

import fastlstm  # noqa: E402
from fastlstm.interop.onnx import load  # noqa: E402

T, B, I, H = 4, 3, 3, 5  # noqa: E741
node = onnx.helper.make_node


class Graph:
    """A graph that grows by nodes, each of which reads the last."""

    def __init__(self, rank=3, dtype="f", seed=0):
        self.rng = np.random.default_rng(seed)
        self.inputs = [typed("x", dtype, ["a", "b", I][:rank])]
        self.nodes, self.constants, self.last = [], {}, "x"

    def constant(self, *shape, name=None):
        name = name or f"constant{len(self.constants)}"
        self.constants[name] = self.rng.uniform(-0.7, 0.7, shape).astype("f")
        return name

    def array(self, values, dtype="int64"):
        name = f"array{len(self.constants)}"
        self.constants[name] = np.array(values, dtype)
        return name

    def add(self, kind, *others, output=0, outputs=1, before=(), **attributes):
        names = [f"v{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(
            node(kind, [*before, self.last, *others], names, name=f"n{len(self.nodes)}", **attributes)
        )
        self.last = names[output]
        return self

    def recurrent(self, kind="LSTM", I=I, H=H, output=0, names=(), **attributes):  # noqa: E741
        D = 2 if attributes.get("direction") == "bidirectional" else 1
        weights = weights_of(kind, D, I, H, self.rng)
        own = {name: f"{name}{len(self.nodes)}" for name in weights}
        self.constants |= {own[name]: array for name, array in weights.items()}
        outputs = 3 if kind == "LSTM" else 2
        return self.add(
            kind, *own.values(), *names, output=output, outputs=outputs, hidden_size=H, **attributes
        )

    def model(self, dtype="f", opset=17):
        return model_of(self.nodes, self.inputs, [typed(self.last, dtype)], self.constants, opset)

    def check(self, expected, x=None, **more):
        """Assert that a model of that form is loaded, which gives what ONNX Runtime does."""
        model = self.model()
        ours = load(model.SerializeToString())
        assert repr(ours).replace(", empty_state='zero'", "") == expected
        x = self.rng.standard_normal((T, B, I)).astype("f") if x is None else x
        y = ours(x, **more)
        theirs = session_of(model).run(None, {"x": x})[0]
        assert distance(y[0] if isinstance(y, tuple) else y, theirs) <= 1e-5
        return ours


def stack(graph, batch_first=False, direction="forward", kinds=("LSTM",)):
    if batch_first:
        graph.add("Transpose", perm=[1, 0, 2])
    size = I
    for kind in kinds:
        graph.recurrent(kind, size, direction=direction)
        if direction == "bidirectional":
            graph.add("Transpose", perm=[0, 2, 1, 3]).add("Reshape", graph.array([0, 0, -1]))
        else:
            graph.add("Squeeze", graph.array([1]))
        size = H * (2 if direction == "bidirectional" else 1)
    if batch_first:
        graph.add("Transpose", perm=[1, 0, 2])
    return graph


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kinds", [("LSTM",), ("GRU", "GRU"), ("RNN", "LSTM", "LSTM")])
def test_stacks(batch_first, direction, kinds):
    told = {"forward": "", "reverse": ", reverse=True", "bidirectional": ", bidirectional=True"}[direction]
    first = ", batch_first=True" if batch_first else ""
    wide = 2 * H if direction == "bidirectional" else H
    options = first + told
    after = ", reset_after=False"
    expected = {
        1: f"LSTM({I}, {H}{options})",
        2: f"GRU({I}, {H}, num_layers=2{options}{after})",
        3: f"Sequential(RNN({I}, {H}{options}), LSTM({wide}, {H}, num_layers=2{options}))",
    }[len(kinds)]
    stack(Graph(), batch_first, direction, kinds).check(expected)


def test_layers_around():
    graph = Graph(rank=2, dtype="int64")
    graph.add("Cast", to=onnx.TensorProto.INT64)
    graph.add("Gather", before=[graph.constant(9, I)])
    graph.recurrent("GRU", linear_before_reset=1).add("Squeeze", graph.array([1]))
    graph.add("LayerNormalization", graph.constant(H), graph.constant(H), epsilon=1e-3)
    graph.add("Dropout").add("MatMul", graph.constant(H, 4)).add("Add", before=[graph.constant(4)])
    graph.add("Relu").add("MatMul", graph.constant(4, 3)).add("Tanh").add("LogSoftmax")
    graph.check(
        f"Sequential(Embedding(9, {I}), GRU({I}, {H}), LayerNorm({H}, eps=0.0010000000474974513), "
        f"Linear({H}, 4), ReLU(), Linear(4, 3, bias=False), Tanh(), LogSoftmax())",
        np.arange(T * B).reshape(T, B) % 9,
    )


def last_of_y(graph):
    return stack(graph).add("Gather", graph.array(-1), axis=0)


def cut_of_y(graph):
    last = 2**63 - 1
    return (
        stack(graph).add("Slice", *(graph.array([n]) for n in (-1, last, 0))).add("Squeeze", graph.array([0]))
    )


def first_of_reverse(graph):
    return (
        stack(graph, direction="reverse")
        .add("Gather", graph.array([0]), axis=0)
        .add("Squeeze", graph.array([0]))
    )


def final_state(graph):
    return graph.recurrent("GRU", linear_before_reset=1, output=1).add("Squeeze", graph.array([0]))


def mean(graph):
    return stack(graph, batch_first=True).add("ReduceMean", axes=[1], keepdims=0)


def maximum(graph):
    return stack(graph).add("ReduceMax", axes=[0]).add("Reshape", graph.array([-1, H]))


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        (last_of_y, f"LSTM({I}, {H}), LastStep()"),
        (cut_of_y, f"LSTM({I}, {H}), LastStep()"),
        (first_of_reverse, f"LSTM({I}, {H}, reverse=True), LastStep()"),
        (final_state, f"GRU({I}, {H}), LastStep()"),
        (mean, f"LSTM({I}, {H}, batch_first=True), MeanOverTime()"),
        (maximum, f"LSTM({I}, {H}), MaxOverTime()"),
    ],
)
def test_readouts(add, expected):
    graph = add(Graph())
    graph.add("Gemm", graph.constant(7, H), graph.constant(7), transB=1).add("Softmax")
    graph.check(f"Sequential({expected}, Linear({H}, 7), Softmax())")


def test_final_states_stacked_as_pytorch_has_them():
    graph = Graph().recurrent()
    first = graph.nodes[-1].output[1]
    graph.add("Squeeze", graph.array([1])).recurrent(I=H, output=1)
    graph.add("Concat", before=[first], axis=0).add("Gather", graph.array(1), axis=0)
    graph.check(f"Sequential(LSTM({I}, {H}, num_layers=2), LastStep())")


def test_lengths_and_states_that_are_inputs_are_arguments():
    graph = Graph().recurrent(names=["lengths", "h"])
    graph.add("Squeeze", graph.array([1]))
    graph.inputs += [typed("lengths", "int32", ["b"]), typed("h", "f", [1, "b", H])]
    model, x = graph.model(), graph.rng.standard_normal((T, B, I)).astype("f")
    h, lengths = graph.rng.standard_normal((1, B, H)).astype("f"), np.array([4, 0, 2])
    y, _ = load(model)(x, (h, None), lengths=lengths)
    feeds = {"x": x, "h": h, "lengths": lengths.astype(np.int32)}
    assert distance(y, session_of(model).run(None, feeds)[0]) <= 1e-5


def test_states_of_zeros_that_the_graph_makes_count_as_none():
    graph = Graph()
    graph.nodes.append(node("Shape", ["x"], ["shape"]))
    graph.nodes.append(node("ConstantOfShape", ["shape"], ["zeros"]))
    graph.nodes.append(node("Expand", [graph.array([[[0.0]]], "f"), "shape"], ["others"]))
    graph.recurrent(H=I, names=["", "zeros", "others"]).add("Squeeze", graph.array([1]))
    assert repr(load(graph.model())) == f"LSTM({I}, {I}, empty_state='zero')"


def test_weights_that_the_graph_moves_about():
    graph = stack(Graph())
    for name in ("W0", "R0"):
        whole = graph.constants.pop(name)[0]
        parts = [whole[:H], whole[H:]]
        graph.constants |= {f"{name}{k}": part for k, part in enumerate(parts)}
        graph.nodes.insert(0, node("Unsqueeze", [f"{name}w", "zero"], [name]))
        graph.nodes.insert(0, node("Concat", [f"{name}0", f"{name}1"], [f"{name}w"], axis=0))
    graph.constants["zero"] = np.array([0])
    graph.check(f"LSTM({I}, {H})")


def test_layout_1():
    graph = Graph().recurrent(layout=1)
    graph.add("Squeeze", graph.array([2]))
    turned = stack(Graph(), batch_first=True)
    assert repr(load(graph.model())) == repr(load(turned.model()))
    x = graph.rng.standard_normal((B, T, I)).astype("f")
    np.testing.assert_array_equal(load(graph.model())(x)[0], load(turned.model())(x)[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: g.add("Erf"), r"Erf 'n2': expected a node that is a layer of this package, got another"),
        (
            lambda g: g.add("Gather", g.array(1), axis=0),
            "Gather 'n2': expected the step that is visited last, got",
        ),
        (
            lambda g: g.add("Gather", g.array(1), axis=2),
            "Gather 'n2': expected an index of a step, got one of axis H",
        ),
        (
            lambda g: g.add("Add", g.constant(H)),
            "Add 'n2': expected a bias right after a product, got another sum",
        ),
        (lambda g: g.add("Transpose", perm=[1, 0, 2]), "model: expected an output with the axes"),
        (
            lambda g: g.add("Transpose", perm=[2, 0, 2]),
            "Transpose 'n2': expected axes moved, or those of dir",
        ),
        (
            lambda g: g.add("Reshape", g.array([-1, H])),
            "Reshape 'n2': expected axes moved, or those of directions",
        ),
        (lambda g: g.add("Squeeze", g.array([9])), "Squeeze 'n2': expected axes moved, or"),
        (lambda g: g.add("Softmax", axis=1), "Softmax 'n2': expected the last axis, got 1 of"),
        (
            lambda g: g.add("MatMul", g.constant(H + 1, 2)),
            rf"layers: expected one that reads {H} numbers at 1",
        ),
        (lambda g: g.add("MatMul", "x"), "MatMul 'n2': expected one input that is not constant, got 2"),
        (
            lambda g: g.add("MatMul", before=[g.constant(4, 4)]),
            "MatMul 'n2': expected weights on the right, got",
        ),
        (
            lambda g: g.add("Gemm", g.constant(H, 2), alpha=2.0),
            "Gemm 'n2': expected neither transA nor alpha",
        ),
        (lambda g: g.add("ReduceMean", axes=[1]), "ReduceMean 'n2': expected time without lengths"),
        (lambda g: g.add("Cast", to=7), "Cast 'n2': expected a cast to numbers of the same kind"),
        (
            lambda g: g.recurrent(I=H, output=2),
            "LSTM 'n2': expected an output of the graph that is made of h",
        ),
        (
            lambda g: g.recurrent(I=H, names=["v0_1"]),
            "LSTM 'n2': expected lengths that are an input of the graph",
        ),
        (
            lambda g: g.recurrent(I=H, names=["", "v0_1"]),
            "LSTM 'n2': expected an initial state of zeros, or an",
        ),
        (
            lambda g: g.recurrent(I=H, direction="bidirectional", activations=["Tanh"] * 5 + ["Relu"]),
            "LSTM 'n2': expected the same functions in both directions, got others",
        ),
    ],
)
def test_what_can_not_be_carried_is_named(change, sentence):
    graph = stack(Graph())
    change(graph)
    with pytest.raises(ValueError, match=rf"^{sentence}"):
        load(graph.model())


def test_what_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    content = stack(Graph()).model().SerializeToString()
    for damaged in (b"", b"\x08", b"nothing", content[:40], content[: len(content) // 2]):
        with pytest.raises(ValueError, match=r"^model: expected an ONNX model, got "):
            load(damaged)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^model: expected an ONNX model, got "):
            load(path)
    path.write_bytes(content)
    assert isinstance(load(path), fastlstm.LSTM)
    with pytest.raises(TypeError, match=r"^model: expected a str or path, got 3"):
        load(3)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_weights_that_grow_by_concatenation_are_not_followed():
    graph = stack(Graph())
    names = ["constant"] + [f"twice{k}" for k in range(60)]
    graph.constants["constant"] = np.ones(1000, "f")
    graph.nodes[:0] = [node("Concat", [one, one], [two], axis=0) for one, two in itertools.pairwise(names)]
    graph.nodes.insert(0, node("Concat", ["constant"] * 100_000, ["many"], axis=0))
    assert isinstance(load(graph.model()), fastlstm.LSTM)


@pytest.mark.parametrize("opset", [9, 11, 12, 13, 17])
def test_weights_moved_by_operators_of_any_version(opset):
    """Before 13, axes are attributes."""
    graph = Graph().recurrent()
    for name in ("W0", "R0", "B0"):
        graph.constants[f"{name}flat"] = graph.constants.pop(name)[0]
        axes = [graph.array([0])] if opset >= 13 else []
        told = {} if axes else {"axes": [0]}
        graph.nodes.insert(0, node("Unsqueeze", [f"{name}flat", *axes], [name], **told))
    axes = [graph.array([1])] if opset >= 13 else []
    graph.add("Squeeze", *axes, **({} if axes else {"axes": [1]}))
    model = graph.model(opset=opset)
    assert repr(load(model)) == f"LSTM({I}, {H}, empty_state='zero')"


def test_the_one_door(tmp_path):
    graph = stack(Graph(), batch_first=True)
    path = tmp_path / "model.onnx"
    onnx.save_model(graph.model(), path, save_as_external_data=True, location="numbers", size_threshold=0)
    model = fastlstm.load(path)
    assert repr(model) == f"LSTM({I}, {H}, batch_first=True, empty_state='zero')"
    np.testing.assert_array_equal(
        model.parameters["weight_hh_l0"], load(graph.model()).parameters["weight_hh_l0"]
    )
    with pytest.raises(ValueError, match="expected its numbers in the bytes, got a file's name"):
        fastlstm.load(path.read_bytes())
    for told in ({"prefix": "lstm"}, {"batch_first": True}, {"kinds": {"a": "Linear"}}, {"masked": True}):
        (name,) = told
        with pytest.raises(ValueError, match=rf"\({name}: expected none for a graph, which says all itself"):
            fastlstm.load(path, **told)


@pytest.mark.parametrize("location", ["../numbers", "/etc/passwd", "none/../../numbers"])
def test_numbers_are_read_from_nowhere_else(location, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "numbers").write_bytes(bytes(10_000))
    model = stack(Graph()).model()
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location)
    tensor.ClearField("raw_data")
    (tmp_path / "in" / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises((ValueError, FileNotFoundError)):
        fastlstm.load(tmp_path / "in" / "model.onnx")


def test_numbers_that_many_tensors_share_are_bounded(tmp_path):
    model = stack(Graph()).model()
    (tmp_path / "numbers").write_bytes(bytes(1 << 20))
    for k in range(100):
        tensor = model.graph.initializer.add(name=f"more{k}", data_type=1, dims=[1 << 18])
        tensor.raw_data = b"0"
        onnx.external_data_helper.set_external_data(tensor, "numbers")
        tensor.ClearField("raw_data")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=r"more\d+: expected at most \d+ bytes more, got"):
        fastlstm.load(tmp_path / "model.onnx")


def test_layers_that_share_weights_are_bounded():
    graph = Graph().recurrent(I=I, H=I)
    first = graph.nodes[-1]
    for _ in range(600):
        graph.add("Squeeze", graph.array([1]))
        again = copy.deepcopy(first)
        again.input[0], again.output[0] = graph.last, f"y{len(graph.nodes)}"
        graph.nodes.append(again)
        graph.last = again.output[0]
    for name in ("W0", "R0"):
        graph.constants[name] = np.zeros((1, 4 * 200, 200), "f")
    graph.constants["B0"] = np.zeros((1, 8 * 200), "f")
    for each in graph.nodes:
        if each.op_type == "LSTM":
            del each.attribute[:]
            del each.output[1:]
    with pytest.raises(ValueError, match=r"expected at most \d+ bytes more, got"):
        load(graph.model())


def test_functions_that_call_each_other_are_bounded():
    model = stack(Graph()).model()
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    for k in range(40):
        inner = f"f{k + 1}" if k < 39 else "Identity"
        domain = "own" if k < 39 else ""
        calls = [node(inner, ["a"], ["b"], domain=domain), node(inner, ["b"], ["c"], domain=domain)]
        model.functions.append(onnx.helper.make_function("own", f"f{k}", ["a"], ["c"], calls, opsets))
    model.graph.node.insert(0, node("f0", ["x"], ["unused"], domain="own"))
    with pytest.raises(ValueError, match=r"^functions: expected at most \d+ bytes more, got"):
        load(model)
    model.functions[-1].node[0].CopyFrom(node("f0", ["a"], ["b"], domain="own"))
    with pytest.raises(ValueError, match=r"expected a function that does not call itself, got one that does"):
        load(model)


def refusal_of(content, otherwise):
    try:
        load(content)
    except ValueError as error:
        return str(error)
    return otherwise


def test_bytes_changed_anywhere_are_a_model_or_refused_with_a_sentence():
    graph = stack(Graph(), direction="bidirectional", kinds=("GRU", "LSTM"))
    content = graph.add("MatMul", graph.constant(2 * H, 2)).model().SerializeToString()
    rng = np.random.default_rng(0)
    weights = range(content.index(b"constant"), len(content))
    for place in rng.integers(0, len(content), 400):
        if place in weights and rng.random() < 0.5:
            continue
        changed = bytearray(content)
        changed[place] = rng.integers(256)
        assert ": expected " in refusal_of(bytes(changed), ": expected ")
