"""The C of the ground floor by itself: the same bytes from every instruction set, and sanitizers."""

import shutil
import subprocess

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support_native import CAPI, KERNELS, NATIVE, SOURCES, build, compile_all

import fastlstm
from fastlstm import _core
from fastlstm.model.precision import scales_of, whole_numbers, widened

# AddressSanitizer catches what the rest of "undefined" would, and in a tenth of the time to compile; its
# checks as calls take half of that again.
SANITIZED = [
    "-Wno-unused-command-line-argument",  # of clang, which knows no such parameter
    "--param=asan-instrumentation-with-call-threshold=0",
    "-fsanitize=address,signed-integer-overflow,shift,bounds,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-DFL_DEBUG",
]

# Emulated processors, and how they multiply int8, bfloat16 and int4, the best way first.
ARM_WAYS = {
    "max": (["smmla", "dot", "widened"], ["bfmmla", "widened"], ["dot", "widened"]),
    "neoverse-n1": (["dot", "widened"], ["widened"], ["dot", "widened"]),
    "cortex-a72": (["widened"], ["widened"], ["widened"]),
}

pytestmark = [
    pytest.mark.skipif(not KERNELS.is_dir(), reason="the sources are not here"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hashes_of(*command):
    """Return what each kernel wrote, as a hash, by kernel and type and then by instruction set; "checked" of
    those that sum in an order of their own, which the program has compared with plain C."""
    hashes = {}
    for line in run(*command).splitlines():
        isa, *kernel, digest = line.split()
        hashes.setdefault(tuple(kernel), {})[isa] = digest
    return hashes


def run_kernels(tmp_path, flags, sources):
    return hashes_of(build(tmp_path, "run_kernels", sources, flags))


@pytest.fixture(scope="module")
def expected(tmp_path_factory, published_kernels):
    return run_kernels(tmp_path_factory.mktemp("native"), [], sources=published_kernels)


@pytest.fixture(scope="module")
def sanitized_objects(tmp_path_factory):
    """All kernels but AVX-512's, which take as long to compile as the rest."""
    sources = [source for source in SOURCES if "avx512" not in source.name]
    return compile_all(tmp_path_factory.mktemp("sanitized"), sources, [*SANITIZED, "-DFL_WITHOUT_AVX512"])


def test_instruction_sets_agree(expected):
    for kernel, hashes in expected.items():
        assert hashes.keys() & {"generic", "generic-plain"}
        assert len(set(hashes.values()) - {"checked"}) == 1, kernel


def test_sanitized(tmp_path, expected, sanitized_objects):
    sanitized = run_kernels(tmp_path, SANITIZED, sources=sanitized_objects)
    assert sanitized.keys() == expected.keys()
    for kernel, hashes in sanitized.items():
        assert hashes == {isa: hash for isa, hash in expected[kernel].items() if "avx512" not in isa}, kernel


@pytest.mark.slow
def test_sanitized_whole(tmp_path, expected):
    assert run_kernels(tmp_path, SANITIZED, sources=SOURCES) == expected


# Not skipped elsewhere, since nothing is missing that could be installed.
if _core.current_isa() == "avx512" and _core.way_of("int8") in {"amx", "vnni"}:

    def test_tiles_emulated(tmp_path, expected, published_kernels):
        """AMX's kernels with tiles in plain C, on processors that have the other instructions they use."""
        sources = [KERNELS / "select.c", *(KERNELS / "isa").glob("*_amx.c")]
        with_tiles = compile_all(tmp_path, sources, ["-include", str(NATIVE / "amx.h")])
        emulated = run_kernels(tmp_path, [], [*with_tiles, *published_kernels])
        assert emulated["f32", "int8"]["avx512-amx"] == expected["f32", "int8"]["avx512-vnni"]
        assert emulated["f32", "bfloat16"]["avx512-amx"] == "checked"


@pytest.mark.parametrize("kernel", ["product", "lstm_step", "lstm_step_backward"])
def test_debug_build_asserts(tmp_path, sanitized_objects, kernel):
    """A kernel that is called wrongly says so at its entrance."""
    program = build(tmp_path, "count_kernels", sanitized_objects, SANITIZED)
    run(program, "generic", kernel, "1", "1", "3")
    done = subprocess.run([program, "generic", kernel, "-1", "1", "3"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "B >= 0" in done.stderr


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory):
    """Return what `build` is told to build a program for aarch64."""
    if not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")):
        pytest.skip("no compiler or no emulator for aarch64")
    told = {"flags": ["-static"], "compiler": "aarch64-linux-gnu-gcc"}
    return told | {"sources": compile_all(tmp_path_factory.mktemp("aarch64"), SOURCES, **told)}


def test_aarch64_agrees(tmp_path, expected, aarch64):
    program = build(tmp_path, "run_kernels", **aarch64)
    for processor, ways_of_formats in ARM_WAYS.items():
        emulated = hashes_of("qemu-aarch64", "-cpu", processor, program)
        assert emulated.keys() == expected.keys()
        for kernel, hashes in emulated.items():
            assert {isa.split("-")[0] for isa in hashes} == {"neon", "generic"}
            of_others = {hash for isa, hash in hashes.items() if isa != "neon-bfmmla"}
            assert of_others == set(expected[kernel].values()) - {"checked"}, kernel
        for name, ways in zip(("int8", "bfloat16", "int4"), ways_of_formats, strict=True):
            assert list(emulated["f32", name]) == [*(f"neon-{way}" for way in ways), "generic-plain"]


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [([], []), (SANITIZED, []), (["-fsanitize=thread"], ["no fork"])],
)
def test_workers(tmp_path, flags, arguments):
    assert run(build(tmp_path, "run_workers", [KERNELS / "workers.c"], flags), *arguments) == "done\n"


@pytest.fixture(scope="module")
def run_embedded(tmp_path_factory, sanitized_objects):
    """Return a sanitized program that runs a layer through fastlstm.h."""
    sources = [CAPI / "fastlstm.c", *sanitized_objects]
    return build(tmp_path_factory.mktemp("embedded"), "run_embedded", sources, SANITIZED)


@pytest.fixture(scope="module")
def run_on_aarch64(tmp_path_factory, aarch64):
    sources = [CAPI / "fastlstm.c", *aarch64["sources"]]
    return build(tmp_path_factory.mktemp("embedded"), "run_embedded", **{**aarch64, "sources": sources})


def embedded(program, arguments, given):
    """Return what a run of the program writes: outputs and states, twice, and the gates of an LSTM."""
    itemsize, T, B, _, H, _, _, cell, gates = arguments[:9]
    done = subprocess.run([*program, *map(str, arguments)], input=given, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    end = len(done.stdout) - (itemsize * T * B * gates * H if cell == 0 else 0)
    return done.stdout[:end], done.stdout[end:]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("P", [0, 1, 18])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (0, 2, 3, 19), (700, 1, 2, 33), (5, 7, 19, 65)])
@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedded(run_embedded, dtype, tiny, sizes, P, bias):
    """The same bytes as from Python, gates, whole and in steps, also where denormals come up."""
    T, B, I, H = sizes  # noqa: E741
    P = min(P, H - 1)
    rng = np.random.default_rng(0)
    lstm = fastlstm.LSTM(I, H, proj_size=P, bias=bias, dtype=dtype, rng=rng)
    scale = np.finfo(dtype).tiny if tiny else 1
    x, h, c = (
        (rng.standard_normal(shape) * scale).astype(dtype) for shape in [(T, B, I), (1, B, P or H), (1, B, H)]
    )
    arguments = [np.dtype(dtype).itemsize, *sizes, P, int(bias), 0, 4, 0]
    given = b"".join(array.tobytes() for array in [*lstm.parameters.values(), x, h, c])
    y, (h_n, c_n) = lstm(x, (h, c))
    steps = lstm.trace(x, (h, c))[0, 0]
    gates = np.stack([steps.i, steps.f, steps.g, steps.o], axis=2).tobytes()
    outputs = 2 * b"".join(a.tobytes() for a in (y, h_n, c_n))
    assert embedded([run_embedded], arguments, given) == (outputs, gates)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 2), (0, 2, 3, 19), (300, 1, 2, 33), (5, 7, 19, 65)])
@pytest.mark.parametrize(
    ("cell", "gates", "kind", "options"),
    [
        (1, 3, fastlstm.GRU, {}),
        (2, 3, fastlstm.GRU, {"reset_after": False}),
        (3, 1, fastlstm.RNN, {}),
        (4, 1, fastlstm.RNN, {"nonlinearity": "relu"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedded_without_a_c(run_embedded, dtype, cell, gates, kind, options, sizes, bias):
    T, B, I, H = sizes  # noqa: E741
    rng = np.random.default_rng(0)
    model = kind(I, H, bias=bias, dtype=dtype, rng=rng, **options)
    x, h = (rng.standard_normal(shape).astype(dtype) for shape in [(T, B, I), (1, B, H)])
    given = b"".join(array.tobytes() for array in [*model.parameters.values(), x, h])
    y, h_n = model(x, h)
    arguments = [np.dtype(dtype).itemsize, *sizes, 0, int(bias), cell, gates, 0]
    assert embedded([run_embedded], arguments, given)[0] == 2 * (y.tobytes() + h_n.tobytes())


FORMATS = {1: "bfloat16", 2: "int8", 3: "int4"}
"""As fastlstm.h numbers them."""


def rounded(weight, precision):
    """Return a matrix as whole numbers and their scales, and what they stand for."""
    scale = scales_of(weight, precision)
    whole = whole_numbers(weight, scale)
    return whole, scale, widened(whole, scale)


def layer_in_fewer_bits(cell, gates, name, format, P, x_bits=8):
    """Return arguments and input of run_embedded, and the bytes of the core."""
    T, B, I, H = 5, 7, 19, 65  # noqa: E741
    rng = np.random.default_rng(0)
    shapes = [(gates * H, I), (gates * H, P or H), *[(P, H)] * (P > 0)]
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    scales, given = [None, None, None], [weight.tobytes() for weight in weights]
    is_whole = format != 1
    if is_whole:
        for k, weight in enumerate(weights):
            whole, scales[k], weights[k] = rounded(weight, FORMATS[format])
            given[k] = whole.tobytes() + scales[k].tobytes()
    x, h, c = (
        rng.standard_normal(shape).astype(np.float32) / 4 for shape in [(T * B, I), (1, B, P or H), (1, B, H)]
    )
    has_c = name == "lstm"
    given = b"".join([*given, x.tobytes(), h.tobytes(), c.tobytes() if has_c else b""])
    zeros = np.zeros(_core.cells()[name]["chains"] * H, np.float32)
    of_core = list(weights)
    if name == "gru":  # the core has n first for x
        of_core[0] = np.roll(weights[0], H, axis=0)
        scales[0] = None if scales[0] is None else np.roll(scales[0], H, axis=0)
    layer = _core.Layer(
        name, of_core[0], of_core[1], zeros, of_core[2] if P else None, False,
        format=FORMATS[format], scales=(*scales, None, x_bits) if is_whole else None,
    )  # fmt: skip
    y = np.empty((T * B, P or H), np.float32)
    final = [np.empty_like(h), *[np.empty_like(c)] * has_c]
    _core.run([layer], _core.RaggedBatch(T=T, B=B), x, [y], [h, c][: 1 + has_c], final)
    arguments = [4, T, B, I, H, P, 0, cell, gates, format, *[x_bits] * is_whole]
    return arguments, given, b"".join(array.tobytes() for array in (y, *final))


in_fewer_bits = pytest.mark.parametrize(
    ("cell", "gates", "name", "P"),
    [(0, 4, "lstm", 0), (0, 4, "lstm", 18), (1, 3, "gru", 0), (4, 1, "relu", 0)],
)


@pytest.fixture
def without_avx512():
    """The core takes what `sanitized_objects` has: products of bfloat16 by AMX have bits of their own."""
    before = _core.current_isa()
    _core.use_isa(next(isa for isa in _core.available_isas() if isa != "avx512"))
    yield
    _core.use_isa(before)


@in_fewer_bits
@pytest.mark.parametrize(("format", "x_bits"), [(1, 8), (2, 8), (2, 16), (3, 8), (3, 16)])
def test_embedded_in_fewer_bits(run_embedded, without_avx512, cell, gates, name, format, P, x_bits):
    """The bits of the core, whole and in steps."""
    arguments, given, expected = layer_in_fewer_bits(cell, gates, name, format, P, x_bits)
    assert embedded([run_embedded], arguments, given)[0] == 2 * expected


@in_fewer_bits
@pytest.mark.parametrize("processor", ARM_WAYS)
def test_aarch64_in_fewer_bits(run_on_aarch64, processor, cell, gates, name, P):
    """Whole numbers have the bits of the core here; bfloat16 the same in steps, and numbers nearby."""
    program = ["qemu-aarch64", "-cpu", processor, run_on_aarch64]
    for format, x_bits in ((2, 8), (2, 16), (3, 8)):
        arguments, given, expected = layer_in_fewer_bits(cell, gates, name, format, P, x_bits)
        assert embedded(program, arguments, given)[0] == 2 * expected
    arguments, given, expected = layer_in_fewer_bits(cell, gates, name, 1, P)
    whole, in_steps = np.split(np.frombuffer(embedded(program, arguments, given)[0], np.float32), 2)
    assert whole.tobytes() == in_steps.tobytes()
    assert_allclose(whole, np.frombuffer(expected, np.float32), atol=2e-3, rtol=2e-3)
