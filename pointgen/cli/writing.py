"""Writing what a model made, and saying where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointgen.cli.console import print_json, say
from pointgen.cli.sampling import solved

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["numbered", "write_results"]


def numbered(id: str, count: int) -> list[str]:
    """Return the names of several results of one input."""
    return [id] if count == 1 else [f"{id}_{number}" for number in range(count)]


def write_results(
    out: Path,
    clouds: Sequence[Tensor] | Tensor,
    ids: Sequence[str] | None,
    *,
    force: bool,
    json: bool,
    more: dict[str, Any],
) -> None:
    """Write the clouds that are finite, and say which files hold how many, and what failed.

    Ways (S, T, N, 3) of clouds from noise are written as such.
    """
    import numpy as np

    from pointgen.files import write_clouds, write_frames

    places = solved(clouds)
    failed = len(clouds) - len(places)
    kept = [clouds[place].numpy() for place in places]
    names = None if ids is None else [ids[place] for place in places]
    if kept[0].ndim == 3:
        numbers = names or [f"{place:03d}" for place in places]
        files = [write_frames(out, np.stack(kept), ids=numbers, force=force)]
    else:
        files = write_clouds(out, kept, ids=names, force=force)
    if json:
        print_json(more | {"files": files, "clouds": len(kept), "failed": failed})
    else:
        say(f"clouds: {len(kept)}, in {files[0] if len(files) == 1 else out}")
