"""Ending a training cleanly on Ctrl-C, SIGTERM, and when its terminal is shut."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from types import FrameType

from pointgen.processes import several

__all__ = ["Stop", "stoppable"]

# A batch system may signal all processes, and launchers then pass it on to those they started.
ECHO = 5.0  # seconds in which a second signal to one of several processes is the same request


@dataclass
class Stop:
    """Whether somebody asked to stop."""

    requested: bool = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request; the second one interrupts at once.

    A SIGHUP that is ignored, as under nohup, stays so. Outside the main thread Python cannot watch
    signals, and they keep their meaning.
    """
    stop, first = Stop(), 0.0
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not stop.requested:
            stop.requested, first = True, monotonic()
        elif not (several() and monotonic() - first < ECHO):
            raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
