"""Pictures of clouds with what was found out about each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointgen.cli.console import say

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CaptionedPng", "write_png"]

MOST, SIZE = 64, 240  # clouds of a picture, and the pixels of each

CaptionedPng = Annotated[
    Path | None,
    typer.Option("--png", help=f"Also draw the clouds with the results, the first {MOST}, here."),
]


def write_png(
    path: Path,
    clouds: Sequence[np.ndarray],
    captions: Sequence[str],
    *,
    columns: int | None = None,
) -> None:
    """Draw clouds (N_i, 3), a caption below each, and say so."""
    from pointgen.view.still import save_png

    most = max(1, MOST // (columns or 1)) * (columns or 1)  # whole rows
    save_png(path, clouds[:most], captions=captions[:most], columns=columns, size=SIZE)
    left = f" of the first {most} of {len(clouds)} clouds" if len(clouds) > most else ""
    say(f"wrote {path}{left}")
