"""Settings and fixtures that all tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import fastlstm
from fastlstm import _core

# Read when Keras or PyTorch is imported first: PyTorch's threads sleep, so that passes here run on our own.
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples each time, so that CI fails for a change and not for a draw.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine can run, one after the other."""
    before = _core.current_isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.fixture
def threads() -> Iterator[None]:
    """Have passes shared out however busy the machine is, and give the number of threads back as it was."""
    before = fastlstm.get_num_threads()
    _core.forget_late()
    _core.be_patient(True)
    yield
    _core.be_patient(False)
    _core.forget_late()
    fastlstm.set_num_threads(before)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="session")
def published_kernels() -> list[Path]:
    """All kernels as they are published, for whichever C program wants them."""
    return [Path(fastlstm.get_library())]
