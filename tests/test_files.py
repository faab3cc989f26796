"""Files are whole or not there: whatever is in the way, whoever is killed, and on a full disk."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading

import pytest

from fastlstm import LSTM, Tanh, fit, load, save
from fastlstm.files import whole
from fastlstm.files.whole import write_whole
from fastlstm.training import mean_squared_error

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes, pipes and signals as on Unix")


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444, 0o755])
def test_a_files_mode_is_kept(mode, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    (tmp_path / "other").touch()
    write_whole(tmp_path / "file", b"new")
    assert mode_of(tmp_path / "file") == mode_of(tmp_path / "other")


def test_nobody_reads_meanwhile_what_only_some_may_read(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    path.touch(0o600)
    chmod = os.chmod

    def noting(file, mode):
        seen.append(mode_of(file))
        chmod(file, mode)

    monkeypatch.setattr(os, "chmod", noting)
    write_whole(path, b"new")
    assert seen == [0o600]


def test_what_a_link_leads_to_is_replaced(tmp_path):
    folder, outer, inner = tmp_path / "folder", tmp_path / "outer", tmp_path / "inner"
    folder.mkdir()
    outer.symlink_to(inner)
    inner.symlink_to(folder / "real")
    for content in (b"first", b"second"):
        write_whole(outer, content)
        assert (folder / "real").read_bytes() == content
        assert outer.is_symlink()
        assert inner.is_symlink()
    assert [path.name for path in folder.iterdir()] == ["real"]


def test_a_link_to_itself(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "loop", b"new")


@pytest.fixture(params=["device", "pipe", "socket"])
def no_file(request, tmp_path):
    """A path at which something else than a file is."""
    path = tmp_path / "other"
    if request.param == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:  # of one who could not replace the system's own either
            path.symlink_to("/dev/null")
        yield path
    elif request.param == "pipe":
        os.mkfifo(path)
        yield path
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            # A socket's path must be shorter than that of a test's folder may be.
            before = os.getcwd()
            os.chdir(tmp_path)
            listener.bind("other")
            os.chdir(before)
            yield path


def test_what_is_no_file_is_refused_and_stays(no_file, tmp_path):
    kind = no_file.stat().st_mode
    sentence = "expected a regular file or a free name, got a device, pipe or socket, '.*other'"
    with pytest.raises(ValueError, match=f"path: {sentence}"):
        save(Tanh(), no_file)
    x = [[[1.0]]]
    with pytest.raises(ValueError, match=f"checkpoint: {sentence}"):
        fit(LSTM(1, 1), (x, x), mean_squared_error, checkpoint=no_file)
    assert no_file.stat().st_mode == kind
    assert list(tmp_path.iterdir()) == [no_file]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        save(Tanh(), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127])
def test_names_as_long_as_names_can_be(name, tmp_path):
    for _ in range(2):
        save(Tanh(), tmp_path / name)
        assert isinstance(load(tmp_path / name), Tanh)
        assert len(list(tmp_path.iterdir())) == 1


def test_file_and_folder_are_synced(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def noting(descriptor):
        synced.append(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    write_whole(tmp_path / "file", b"new")
    file, folder = synced
    assert os.path.dirname(file) == folder == str(tmp_path)


def test_a_write_leaves_those_alone_that_are_at_work(tmp_path, monkeypatch):
    """One write waits in the middle, its file without a name of its own yet, while others come and go."""
    begun, go_on, fsync = threading.Event(), threading.Event(), os.fsync

    def waiting(descriptor):
        if threading.current_thread() is slow and not begun.is_set():
            begun.set()
            assert go_on.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", waiting)
    slow = threading.Thread(target=write_whole, args=(tmp_path / "file", b"slow"))
    slow.start()
    assert begun.wait(30)
    for content in (b"first", b"second"):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    go_on.set()
    slow.join()
    assert (tmp_path / "file").read_bytes() == b"slow"
    assert len(list(tmp_path.iterdir())) == 1


def test_many_writers_at_once(tmp_path, eager_threads):
    contents = [bytes([letter]) * 50_000 for letter in b"abcdef"]

    def write_often(content):
        for _ in range(20):
            write_whole(tmp_path / "file", content)
            assert (tmp_path / "file").read_bytes() in contents

    threads = [threading.Thread(target=write_often, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


def test_leftovers_of_other_names_stay(tmp_path):
    leftover = tmp_path / ".fastlstm-0123456789abcdef-0123456789abcdef"
    leftover.touch()
    write_whole(tmp_path / "file", b"new")
    assert leftover.exists()


def test_a_folder_that_nobody_may_list(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(whole.Path, "iterdir", refuse)
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


# Death and full disks, in processes of their own

KILLS = """
import itertools, json, os, pathlib, random, signal, sys, time
import fastlstm

folder, kills, draw = pathlib.Path(sys.argv[1]), int(sys.argv[2]), random.Random(0)
path = folder / "model"
old, new = (fastlstm.Linear(400, 400, rng=seed) for seed in range(2))
expected = {model.parameters["bias"].tobytes() for model in (old, new)}
fastlstm.save(old, path)
started = time.perf_counter()
fastlstm.save(old, path)
took = time.perf_counter() - started

def left():
    return sum(other != path for other in folder.iterdir())

behind = 0
for _ in range(kills):
    child = os.fork()
    if not child:
        for model in itertools.cycle((new, old)):
            fastlstm.save(model, path)
    time.sleep(draw.uniform(0, 5 * took))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert fastlstm.load(path).parameters["bias"].tobytes() in expected
    behind += left()
    fastlstm.save(old, path)
    assert left() == 0
print(behind)
"""


def kill(folder, times):
    """Kill so many writers; return how many files they have left behind, which the next write removed."""
    command = [sys.executable, "-W", "ignore", "-c", KILLS, str(folder), str(times)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def test_killed_writers_leave_a_whole_file_and_what_the_next_removes(tmp_path):
    assert kill(tmp_path, 40) > 0


@pytest.mark.slow
def test_many_killed_writers(tmp_path):
    assert kill(tmp_path, 300) > 30


FULL = """
import errno, json, pathlib, resource, sys
import fastlstm

folder = pathlib.Path(sys.argv[1])
path = folder / "model"
fastlstm.save(fastlstm.Linear(4, 4, rng=0), path)
before = path.read_bytes()
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    fastlstm.save(fastlstm.Linear(400, 400), path)
except OSError as error:
    name = errno.errorcode[error.errno]
assert path.read_bytes() == before
assert list(folder.iterdir()) == [path]
fastlstm.save(fastlstm.Linear(4, 4, rng=1), path)
print(json.dumps(name))
"""


def full(folder, kind, *before):
    command = [*before, sys.executable, "-c", FULL, str(folder), kind]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_file_that_may_not_be_so_large(tmp_path):
    run = full(tmp_path, "limit")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == "EFBIG"


def test_a_full_disk(tmp_path):
    """A small file system of our own, where the system lets us have one."""
    mount = f'mount -t tmpfs -o size=256k none {tmp_path} && exec "$@"'
    unshared = ["unshare", "--mount", "--user", "--map-root-user", "sh", "-c", mount, "sh"]
    try:
        possible = subprocess.run([*unshared, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        possible = False
    if not possible:
        pytest.skip("no file system of our own can be had here")
    run = full(tmp_path, "disk", *unshared)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == "ENOSPC"
