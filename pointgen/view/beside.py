"""Windows side by side that are turned as one, to compare shapes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from pointgen.view.clouds import Clouds
from pointgen.view.palette import Palette
from pointgen.view.window import Window

__all__ = ["Beside", "show_beside"]

WIDTH, HEIGHT = 1500, 700  # of all windows together, pixels


def show_beside(
    groups: Sequence[Clouds],
    *,
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
    colors: Palette | None = None,
) -> None:
    """Open one window for each group and return when one of them is closed.

    Whatever window is turned or zoomed, the others follow; so they do to the next shape. The keys
    are those of `window.show`.

    Args:
        groups: what each window shows; as in `window.show`.
        titles: of the windows.
        captions: of the clouds of each group.
        colors: at first, as in `window.show`.

    Raises:
        ValueError: A cloud cannot be shown.
        WindowError: There is no display, or Open3D or its system libraries are missing.
    """
    with ExitStack() as opened:
        width = WIDTH // len(groups)
        windows = [
            opened.enter_context(
                Window(
                    clouds,
                    captions=captions[number],
                    colors=colors,
                    title=titles[number],
                    place=(number * width, 50, width, HEIGHT),
                )
            )
            for number, clouds in enumerate(groups)
        ]
        Beside(windows).run()


class Beside:
    """Keeps open windows alike."""

    def __init__(self, windows: Sequence[Window]) -> None:
        """Take windows; the first one decides how all look at first."""
        self.windows = list(windows)
        self._follow(self.windows[0])

    def run(self, frames: int | None = None) -> None:
        """Serve the user until a window is closed, or for a number of frames."""
        done = 0
        while done != frames and self.step():
            done += 1

    def step(self) -> bool:
        """Serve the user for one frame; return whether all windows are still open."""
        if not all([window.step() for window in self.windows]):
            return False
        for window, seen in zip(self.windows, self._seen, strict=True):
            if window.scene.shown != seen[1] or not np.allclose(window.camera, seen[0], atol=1e-6):
                self._follow(window)
                break
        return True

    def _follow(self, leader: Window) -> None:
        """Give the others the leader's shape and camera."""
        for window in self.windows:
            if window is not leader:
                if window.scene.shown != leader.scene.shown:
                    window.show(leader.scene.shown)
                window.camera = leader.camera
        self._seen = [(window.camera, window.scene.shown) for window in self.windows]
