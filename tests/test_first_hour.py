"""What somebody meets in the first hour with the package."""

import ast
import contextlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support import pictures
from support_processes import interpreter, python

import fastlstm
from fastlstm.cli import main
from fastlstm.demos import NAMES, classify, forecast
from fastlstm.demos.series import sunspots
from fastlstm.training import History, fit, mean_squared_error, softmax_cross_entropy
from fastlstm.training.metrics import accuracy

ROOT = Path(__file__).parents[1]
FASTLSTM = [sys.executable, "-m", "fastlstm"]
WITHOUT = "import sys; sys.modules['matplotlib'] = sys.modules['matplotlib.backend_bases'] = None\n"

needs_statsmodels = pytest.mark.skipif(
    importlib.util.find_spec("statsmodels") is None, reason="needs the extra demo"
)


class TestImports:
    def test_rooms_resolve_on_first_use_and_dir_shows_them(self):
        code = """
import sys, fastlstm
print("fastlstm.plot" in sys.modules, *(name for name in dir(fastlstm) if not name.startswith("__")))
print(fastlstm.decoding.ctc_greedy, fastlstm.estimators.LSTMClassifier, fastlstm.inspection.Trace)
print(fastlstm.interop.load, fastlstm.plot.history, fastlstm.serve.Batcher, fastlstm.training.fit)
"""
        loaded, *shown = python(code).splitlines()[0].split()
        assert loaded == "False"
        rooms = {"decoding", "estimators", "inspection", "interop", "layers", "plot", "serve", "training"}
        assert set(shown) == {*fastlstm.__all__, *rooms}
        for name in shown:
            getattr(fastlstm, name)

    def test_without_an_extra_its_room_is_not_shown_but_named(self):
        code = f"""
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "matplotlib" else find(name)
{WITHOUT}
import fastlstm
print("plot" in dir(fastlstm), "serve" in dir(fastlstm))
try:
    fastlstm.plot
except ImportError as error:
    print(error)
"""
        assert python(code) == "False True\nfastlstm.plot needs matplotlib: pip install 'fastlstm[plot]'"

    def test_what_a_framework_needs_is_named(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "fastlstm.interop.thinc", raising=False)
        monkeypatch.delitem(vars(fastlstm.interop), "thinc", raising=False)
        monkeypatch.setitem(sys.modules, "thinc.api", None)
        with pytest.raises(ImportError, match=re.escape("pip install 'fastlstm[thinc]'")):
            fastlstm.interop.thinc  # noqa: B018


class TestCommand:
    def test_a_reader_that_leaves_ends_it_quietly(self):
        command = [*FASTLSTM, "demo", "--steps", "3", "--hidden", "4"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
            assert "characters to learn from" in demo.stdout.readline()
            demo.stdout.close()
            assert demo.stderr.read() == ""
        assert demo.returncode == 141

    def test_help_lists_the_demos_first(self, capsys):
        with pytest.raises(SystemExit):
            main(["demo", "--help"])
        shown = capsys.readouterr().out
        assert [name for name in re.findall(r"^  (\w+) +", shown, re.MULTILINE) if name in NAMES] == [*NAMES]
        assert shown.index("classify") < shown.index("--steps")

    @pytest.mark.parametrize("demo", ["language", "memory"])
    def test_a_picture_without_matplotlib_is_found_out_before_training(self, demo, tmp_path):
        code = f"""{WITHOUT}
import fastlstm.training
from fastlstm.cli import main
def fit(*arguments, **options):
    raise AssertionError("trained")
import fastlstm.demos.{demo} as demo
demo.fit = fit
sys.exit(main(["demo", "{demo}", "--picture", "{tmp_path}/picture.svg"]))
"""
        run = interpreter(code, {})
        assert run.returncode == 2
        assert run.stderr == "fastlstm demo: fastlstm.plot needs matplotlib: pip install 'fastlstm[plot]'\n"
        assert run.stdout == ""

    @pytest.mark.parametrize(
        ("picture", "sentence"),
        [("no/folder.svg", "picture: expected a folder that is there"), ("curve.tex", "ends in .")],
    )
    def test_a_picture_that_could_not_be_written_either(self, picture, sentence, tmp_path, capsys):
        assert main(["demo", "memory", "--picture", str(tmp_path / picture)]) == 2
        shown = capsys.readouterr()
        assert sentence in shown.err
        assert shown.out == ""

    def test_one_seed_has_no_standard_error(self):
        one = classify.Runs(np.array([0.97]), np.array([1.0]))
        shown = classify.table({"fastlstm": one, "PyTorch": one})
        assert "0.00" not in shown.replace("+0.00", "")
        assert shown.splitlines()[-4].split()[:3] == ["fastlstm", "97.00", "-"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def left_behind(shown):
    """Return what a terminal's line shows in the end of what was written to it."""
    return shown.rpartition("\r")[2].strip()


def numbers(count=8):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, 5, 3))
    return x, x.mean(axis=1)[:, :1]


def model(hidden=4, cell=fastlstm.LSTM, layers=1):
    rng = np.random.default_rng(0)
    return fastlstm.Sequential(
        cell(3, hidden, layers, rng=rng), fastlstm.LastStep(), fastlstm.Linear(hidden, 1, rng=rng)
    )


class TestTraining:
    def test_a_finished_bar_leaves_nothing_behind(self):
        with contextlib.redirect_stderr(Terminal()) as terminal:
            fit(model(), numbers(), mean_squared_error, epochs=2, progress=True)
        assert "epoch 1/2" in terminal.getvalue()
        assert "\n" not in terminal.getvalue()
        assert left_behind(terminal.getvalue()) == ""

    @needs_statsmodels
    def test_forecast_shows_how_far_it_is(self, monkeypatch):
        monkeypatch.setattr(forecast, "smoothing", forecast.seasonal_naive)
        of = sunspots()
        with contextlib.redirect_stderr(Terminal()) as terminal:
            forecast.results(of, forecast.Settings(members=2, epochs=2, hidden=4))
        models = len(of.blocks()) * (2 + 5)  # what else learns is five others
        assert re.search(rf"sunspots: .*\d/{models} \[.*model", terminal.getvalue())
        assert left_behind(terminal.getvalue()) == ""

    def test_history_tells_how_long_all_took(self):
        x, y = numbers()
        history = fit(model(), (x, y), mean_squared_error, epochs=3, validation=(x, y), rng=0)
        assert history.total_seconds == sum(history["seconds"]) > 0
        assert re.search(
            r"^<History: 3 epochs in [\d.e-]+ s, finished; last loss [^,]+, val_loss ", repr(history)
        )
        assert repr(History({"loss": [1.0]})) == "<History: 1 epoch, finished; last loss 1>"
        assert History().total_seconds == 0

    @pytest.mark.parametrize(
        ("other", "options", "difference"),
        [
            (model(5), {}, r"hidden_size 5, model.layers\[2\].in_features 5, got one with 4, 4"),
            (model(4, fastlstm.GRU), {}, r"model.layers\[0\].class 'GRU', got one with 'LSTM'"),
            (model(), {"batch_size": 3}, "batch_size 3, got one with 8"),
            (fastlstm.LSTM(3, 1), {}, "model.class 'LSTM', got one with 'Sequential'"),
        ],
    )
    def test_a_refused_checkpoint_names_the_difference(self, other, options, difference, tmp_path):
        (x, y), path = numbers(), tmp_path / "run"
        fit(model(), (x, y), mean_squared_error, epochs=1, batch_size=8, checkpoint=path)
        targets = y if other.has_readout else np.repeat(y[:, None], 5, axis=1)
        with pytest.raises(ValueError, match=difference + "; another file") as refused:
            fit(other, (x, targets), mean_squared_error, checkpoint=path, **{"batch_size": 8, **options})
        assert len(str(refused.value)) < 220

    def test_metrics_by_name(self):
        x = np.random.default_rng(0).standard_normal((8, 5, 3))
        y = (x.sum(axis=(1, 2)) > 0).astype(int)
        two = fastlstm.Sequential(fastlstm.LSTM(3, 2, rng=0), fastlstm.LastStep())

        def shares(outputs, targets):
            return float(np.mean(np.argmax(outputs, axis=1) == targets))

        history = fit(
            two,
            (x, y),
            softmax_cross_entropy,
            epochs=2,
            validation=(x, y),
            metrics={"accuracy": "accuracy", "own": shares},
        )
        assert history["val_accuracy"] == history["val_own"]
        history = fit(model(), numbers(), mean_squared_error, validation=numbers(), epochs=1,
                      metrics=["mean_absolute_error", "root_mean_squared_error"])  # fmt: skip
        assert history["val_root_mean_squared_error"][-1] ** 2 == pytest.approx(history["val_loss"][-1])
        assert 0 < history["val_mean_absolute_error"][-1] <= history["val_root_mean_squared_error"][-1]

    def test_accuracy_of_steps_and_of_yes_and_no(self):
        steps = [np.eye(3)[[0, 1, 2]], np.eye(3)[[1]]]
        assert accuracy(steps, [np.array([0, 1, -1]), np.array([0])]) == pytest.approx(2 / 3)
        assert accuracy([np.array([3.0]), np.array([-1.0])], [np.array([1.0]), np.array([1.0])]) == 0.5
        with pytest.raises(ValueError, match=r"targets: expected shape \(3,\) as the output, got \(2,\)"):
            accuracy([np.zeros(3)], [np.zeros(2)])

    @pytest.mark.parametrize("metrics", [["precision"], {"a": "precision"}, {"a": 3}, 3])
    def test_metrics_that_are_none(self, metrics):
        with pytest.raises((TypeError, ValueError), match=r"metrics: expected .*, got"):
            fit(model(), numbers(), mean_squared_error, validation=numbers(), metrics=metrics)


class TestPictures:
    def test_steps_of_a_trace_are_called_so(self):
        script = pictures()
        figure = script.draw_trace(script.open_lstm(3, seed=1))
        assert figure.get_supxlabel() == "step"

    def test_a_trace_on_given_axes(self):
        from matplotlib.figure import Figure

        trace = fastlstm.LSTM(3, 4, rng=0).trace(np.ones((6, 3)))
        one, two = Figure().subplots(1, 2)
        assert fastlstm.plot.trace(trace, ax=one) == {"h": one}
        assert np.array_equal(one.images[0].get_array(), trace[0, 0].h.T)
        drawn = fastlstm.plot.trace(trace, ax={"f": one, "c": two}, labels="abcdef")
        assert two.get_xlabel() == "step"
        assert list(drawn) == ["f", "c"]
        with pytest.raises(ValueError, match="ax: expected names among i, f, g, o, c, h, got 'q'"):
            fastlstm.plot.trace(trace, ax={"q": one})
        with pytest.raises(ValueError, match="ax: expected None with a figure"):
            fastlstm.plot.trace(trace, ax=one, figure=Figure())
        with pytest.raises(TypeError, match="ax: expected"):
            fastlstm.plot.trace(trace, ax={"h": 3})

    @needs_statsmodels
    def test_forecasts_are_drawn_over_years(self):
        script, of = pictures(), sunspots()
        from matplotlib.figure import Figure

        ax = Figure().subplots()
        script.draw_last_forecast(ax, of, np.zeros((of.period, 3)), np.zeros((of.period, 3)))
        assert ax.get_xlabel() == "year"
        assert all(tick == int(tick) for tick in ax.get_xticks())

    def test_steps_are_counted_one_by_one(self):
        ax = fastlstm.plot.history({"loss": np.linspace(1, 0, 20)}, every=100)
        assert ax.lines[0].get_xdata()[[0, -1]].tolist() == [100, 2000]
        assert ax.get_xlabel() == "training steps"
        assert set(np.diff(ax.get_xticks())) <= {200, 250, 500}
        with pytest.raises(ValueError, match="every: expected"):
            fastlstm.plot.history({"loss": [1.0]}, every=0)

    def test_the_same_bytes_twice(self, tmp_path):
        """In two processes, whose hashes of strings are not the same."""
        code = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from support import pictures
script, folder = pictures(), Path(sys.argv[1])
script.write_picture(script.draw_trace(script.open_lstm(3, seed=1)), folder / "trace.png")
script.write_picture(script.draw_module(script.plot.lstm_module), folder / "module.svg")
script.memory.draw({50: {"LSTM": [0.2, 0.1]}}, "squared error", folder / "memory.svg")
script.language.draw([6.0, 3.0], 3.4, 1.9, folder / "language.pdf")
"""
        folders = [tmp_path / name for name in "ab"]
        children = []
        for folder in folders:
            folder.mkdir()
            environment = os.environ | {"PYTHONHASHSEED": str(len(children))}
            command = [sys.executable, "-c", code, str(folder)]
            children.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL))
        assert [child.wait(timeout=120) for child in children] == [0, 0]
        one, two = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert len(one) == 4
        assert one == two


@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the sources are not here")
class TestBuilding:
    @pytest.fixture
    def check_tools(self):
        """Return that function of setup.py, without the rest, which builds."""
        wanted = ("WHAT_BUILDS", "check_tools")
        script = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
        script.body = [
            node
            for node in script.body
            if isinstance(node, ast.FunctionDef | ast.Assign)
            and getattr(node, "name", ast.unparse(getattr(node, "targets", [ast.Name("")])[0])) in wanted
        ]
        names = {"shutil": shutil, "sysconfig": sysconfig, "Path": Path}
        exec(compile(script, "setup.py", "exec"), names)
        return names["check_tools"]

    def test_no_compiler_says_what_to_install(self, check_tools):
        compiler = SimpleNamespace(compiler_type="unix", compiler_so=["no-such-cc", "-O3"])
        with pytest.raises(SystemExit, match="there is no compiler: no-such-cc was not found") as ended:
            check_tools(compiler)
        assert "apt-get install gcc libc6-dev python3-dev" in str(ended.value)
        assert "CC=clang" in str(ended.value)

    def test_no_header_of_python(self, check_tools, tmp_path, monkeypatch):
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
        compiler = SimpleNamespace(compiler_type="unix", compiler_so=[sys.executable])
        with pytest.raises(SystemExit, match=r"Python's header is not there: .*Python\.h"):
            check_tools(compiler)
        (tmp_path / "Python.h").touch()
        check_tools(compiler)
