"""Other processes: an interpreter of one's own, and children that are waited for."""

import os
import subprocess
import sys
import time


def interpreter(code, environment):
    """Run code in an interpreter of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=120)


def python(code, **environment):
    """Return what the code prints, in an interpreter of its own."""
    run = interpreter(code, environment)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def wait(child, seconds=60):
    """Return a child's status; a child that hangs is killed and counts as failed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1
