"""Settings and fixtures that all tests share."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

import fastlstm
from fastlstm import _core

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine can run, one after the other."""
    before = _core.current_isa()
    _core.use_isa(request.param)
    yield request.param
    _core.use_isa(before)


@pytest.fixture
def threads() -> Iterator[None]:
    """Give the number of threads back as it was."""
    before = fastlstm.get_num_threads()
    yield
    fastlstm.set_num_threads(before)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)
