"""Generate 3D point clouds with invertible models.

>>> import pointgen as pg
>>> model = pg.load("runs/demo")  # doctest: +SKIP
>>> clouds = model.sample(16, num_points=2048)  # (16, 2048, 3), data units  # doctest: +SKIP
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointgen.config import read_config
    from pointgen.files import read_clouds as read
    from pointgen.files import write_clouds as write
    from pointgen.metrics.evaluate import Scoring, evaluate
    from pointgen.training import train
    from pointgen.training.checkpoint import load
    from pointgen.view import show

__all__ = ["Scoring", "evaluate", "load", "read", "read_config", "show", "train", "write"]

HOMES = {
    "Scoring": ("pointgen.metrics.evaluate", "Scoring"),
    "evaluate": ("pointgen.metrics.evaluate", "evaluate"),
    "load": ("pointgen.training.checkpoint", "load"),
    "read": ("pointgen.files", "read_clouds"),
    "read_config": ("pointgen.config", "read_config"),
    "show": ("pointgen.view", "show"),
    "train": ("pointgen.training", "train"),
    "write": ("pointgen.files", "write_clouds"),
}


def _find_room_for_compiled_loops() -> None:
    """Let numba keep what it compiles in a temporary folder, where it has no other.

    It looks beside the code and in the home, and fails where it may write to neither, as in many a
    container. The folder is this process's own, for numba runs what it finds in it.
    """
    places = [Path(__file__).parent]
    with suppress(RuntimeError):  # there may be no home at all
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home()))
    if "NUMBA_CACHE_DIR" in os.environ or any(os.access(place, os.W_OK) for place in places):
        return
    import atexit
    import shutil
    import tempfile

    os.environ["NUMBA_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="pointgen-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


_find_room_for_compiled_loops()


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds, and `pointgen --help` must not wait for it (PEP 562).
    if name not in HOMES:
        raise AttributeError(f"module 'pointgen' has no attribute {name!r}")
    module, attribute = HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
