"""Clouds inside a notebook cell (Jupyter, VS Code, Colab)."""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pointgen.view.clouds import Clouds
from pointgen.view.page import page

__all__ = ["Inline", "inline", "is_running", "show"]

HEIGHT = 520  # of the frame, pixels


@dataclass(frozen=True)
class Inline:
    """A page in a frame of a cell; a notebook shows it when a cell ends with it.

    Attributes:
        text: the page.
    """

    text: str

    def _repr_html_(self) -> str:
        # a sandbox without the notebook's origin: the page can run, but not touch the notebook
        return (
            f'<iframe srcdoc="{html.escape(self.text)}" sandbox="allow-scripts allow-downloads" '
            f'width="100%" height="{HEIGHT}" style="border: 0; border-radius: 8px"></iframe>'
        )


def inline(clouds: Clouds, *, captions: Sequence[str] | None = None) -> Inline:
    """Return the page of `pointgen.view.page` as a thing that a notebook shows."""
    return Inline(page(clouds, title="", captions=captions))


def is_running() -> bool:
    """Return whether this program is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return "ipykernel" in sys.modules and shell is not None and shell.get_ipython() is not None


def show(clouds: Clouds, *, captions: Sequence[str] | None = None) -> None:
    """Show the clouds below the running cell."""
    from IPython.display import display

    display(inline(clouds, captions=captions))
