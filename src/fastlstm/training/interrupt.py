"""Ctrl-C between steps rather than within one."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """While entered, a first Ctrl-C only sets `asked`; a second is a KeyboardInterrupt, as usual.

    Where Python doesn't handle Ctrl-C itself, or outside its main thread, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._replaced = False

    def __enter__(self) -> Interrupt:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._replaced = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        if self._replaced:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._replaced = False
