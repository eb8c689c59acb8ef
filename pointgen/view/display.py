"""Whether there is a display that a window can be opened on."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["INSTEAD", "WindowError", "display"]

INSTEAD = "pictures (--png) and pages (--html) work without it"


class WindowError(RuntimeError):
    """No window can be opened here; the message says what is missing and what works instead."""


@contextmanager
def display() -> Iterator[None]:
    """Make sure of a display, and keep it while a window is being opened.

    Open3D itself goes on without one: it then draws where nobody can see it or close it.

    Raises:
        WindowError: No display is named, or it does not answer. Only Linux is asked.
    """
    if not sys.platform.startswith("linux") or _answers_wayland():
        yield
        return
    x11, connection = _connect_x11()
    if not connection:
        named = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        reason = f"{named} does not answer" if named else "DISPLAY is not set"
        raise WindowError(f"there is no display for a window: {reason}; {INSTEAD}")
    try:
        yield
    finally:
        # not earlier: a virtual display starts anew when its last client leaves
        x11.XCloseDisplay(ctypes.c_void_p(connection))


def _connect_x11() -> tuple[ctypes.CDLL, int | None]:
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError as error:
        raise WindowError(f"a window needs the package libx11-6 ({error}); {INSTEAD}") from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    for pause in (0, 0.1, 0.2, 0.4) if os.environ.get("DISPLAY") else ():
        time.sleep(pause)  # a virtual display that starts anew is away for a moment
        if connection := x11.XOpenDisplay(None):
            return x11, connection
    return x11, None


def _answers_wayland() -> bool:
    name = os.environ.get("WAYLAND_DISPLAY")
    return bool(name) and Path(os.environ.get("XDG_RUNTIME_DIR", "/"), str(name)).is_socket()
