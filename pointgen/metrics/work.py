"""How a long comparison is done: by which process, and from which cache."""

from __future__ import annotations

from dataclasses import dataclass, field

from pointgen.metrics.store import Store
from pointgen.processes import ALONE, Share

__all__ = ["Work"]


@dataclass(frozen=True)
class Work:
    """One process's part of a comparison.

    Attributes:
        share: which part.
        store: keeps what is worked out, so that an interrupted comparison goes on.
        shelf: where in the store: put before all names.
    """

    share: Share = ALONE
    store: Store = field(default_factory=Store)
    shelf: str = ""
