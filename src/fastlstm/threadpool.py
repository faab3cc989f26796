"""fastlstm's threads as threadpoolctl sees them: importing this module is enough.

References
----------
.. [1] threadpoolctl, https://github.com/joblib/threadpoolctl, which scikit-learn and joblib use.

Examples
--------
>>> import fastlstm.threadpool
>>> from threadpoolctl import threadpool_limits
>>> with threadpool_limits(1):
...     fastlstm.get_num_threads()
1
"""

from __future__ import annotations

from pathlib import Path

from . import _core
from .config import get_num_threads, set_num_threads

try:
    import threadpoolctl
except ImportError as error:
    raise ImportError(
        "fastlstm.threadpool needs threadpoolctl: pip install 'fastlstm[threadpoolctl]'"
    ) from error


class Controller(threadpoolctl.LibController):  # type: ignore[misc]
    """What threadpoolctl asks of a library that has threads."""

    user_api = "fastlstm"
    internal_api = "fastlstm"
    filename_prefixes = (Path(_core.__file__).name,)
    check_symbols = ("fastlstm_core",)

    def get_num_threads(self) -> int:
        """Return how many threads a pass may use."""
        return get_num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        """Let each pass use so many."""
        set_num_threads(num_threads)

    def get_version(self) -> str:
        """Return the package's version."""
        from . import __version__

        return __version__


threadpoolctl.register(Controller)
