"""The checklist of a release, and that the version stands in one place."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import fastlstm

ROOT = Path(__file__).parents[1]
CHECKED = ("CHANGELOG.md", "CITATION.cff", "pyproject.toml", "src/fastlstm/__init__.py")

pytestmark = pytest.mark.skipif(
    not all((ROOT / name).exists() for name in ("tools/release.py", *CHECKED)) or not shutil.which("git"),
    reason="needs git and the sources",
)


@pytest.fixture
def release(tmp_path, monkeypatch):
    """Return the script, over copies of the files that it reads, in a repository of their own."""
    specification = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    for name in CHECKED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    cited = re.sub("date-released: .*", "date-released: 2026-01-02", script.read("CITATION.cff"))
    (tmp_path / "CITATION.cff").write_text(cited, encoding="utf-8")
    changes = f"# Changelog\n\n## {fastlstm.__version__} (2026-01-02)\n\n- It is there.\n"
    (tmp_path / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return script


def replace(script, name, old, new):
    text = script.read(name)
    assert old in text
    (script.ROOT / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_version_stands_in_one_place(release):
    assert release.version() == fastlstm.__version__
    assert fastlstm.__version__ in release.check_version()
    assert f"\n## {fastlstm.__version__} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("step", "name", "old", "new", "sentence"),
    [
        ("version", "CITATION.cff", "\nversion: ", "\nversion: 9", "CITATION.cff: expected version"),
        (
            "version",
            "pyproject.toml",
            "dynamic =",
            'version = "1"\ndynamic =',
            "expected no version of its own",
        ),
        ("version", "src/fastlstm/__init__.py", '__version__ = "', '__version__ = "x', "expected a number"),
        ("changelog", "CHANGELOG.md", "\n## ", "\n## 7.0.0 (unreleased)\n\n## ", "expected its first part"),
        ("changelog", "CITATION.cff", "date-released: 2", "date-released: 1", "expected date-released"),
    ],
)
def test_what_is_not_ready_is_told(release, step, name, old, new, sentence, monkeypatch, capsys):
    replace(release, name, old, new)
    monkeypatch.setattr("sys.argv", ["release.py", "--dry-run", "--only", step])
    assert release.main() == 1
    assert sentence in capsys.readouterr().out


def test_a_dry_run_makes_no_tag(release, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["release.py", "--dry-run"])
    for name in ("tests", "wheels", "site"):
        monkeypatch.setitem(release.STEPS, name, lambda: "done")
    assert release.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"tag:       v{fastlstm.__version__} would be the tag"
    assert release.run("git", "tag", "--list") == ""


def test_a_release_tags_what_is_committed_and_only_once(release, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["release.py"])
    for name in ("tests", "wheels", "site"):
        monkeypatch.setitem(release.STEPS, name, lambda: "done")
    assert release.main() == 1
    assert "expected all changes to be committed" in capsys.readouterr().out
    release.run("git", "add", "--all")
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    release.run("git", *who, "commit", "-q", "-m", "all")
    for name, value in (("user.name", "somebody"), ("user.email", "somebody@example.org")):
        release.run("git", "config", name, value)
    assert release.main() == 0
    assert release.run("git", "tag", "--list").split() == [f"v{fastlstm.__version__}"]
    assert release.main() == 1
    assert "expected one that has no tag yet" in capsys.readouterr().out
