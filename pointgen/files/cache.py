"""Where this person's caches lie."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["user_cache"]


def user_cache(name: str) -> Path:
    """Return the folder `name` of pointgen's caches, by the system's own convention."""
    local = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return Path(local or Path.home() / ".cache") / "pointgen" / name
