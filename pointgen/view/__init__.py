"""Looking at clouds: a window, still pictures, pages for the browser, and notebooks.

Each kind of view is a module of its own; importing this package imports none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointgen.view.clouds import Clouds

__all__ = ["show"]


def show(clouds: Clouds, *, captions: Sequence[str] | None = None) -> None:
    """Show clouds to turn and zoom: inside a notebook as a page in the cell, else in a window.

    Args:
        clouds: (S, N, 3), one cloud (N, 3), or a sequence of (N_i, 3); y up.
        captions: one for each cloud.

    Raises:
        ValueError: A cloud is empty or not finite, or the captions do not match the clouds.
        WindowError: There is no notebook and no window can be opened.
    """
    from pointgen.view import notebook, window

    if notebook.is_running():
        notebook.show(clouds, captions=captions)
    else:
        window.show(clouds, captions=captions)
