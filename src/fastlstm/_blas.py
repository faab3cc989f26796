"""BLAS held to one thread while passes call it, so that its threads and ours never share the cores."""

from __future__ import annotations

import threading
from types import TracebackType

from threadpoolctl import ThreadpoolController


class OneThread:
    """A context in which BLAS has one thread, in the whole process; several callers may be in it at once."""

    def __init__(self) -> None:
        self._controller = ThreadpoolController().select(user_api="blas")
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limiter = self._controller.limit(limits=1)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limiter.restore_original_limits()
