"""A finding: one kind of thing that is wrong with a data set, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """All that is wrong in one way.

    Attributes:
        kind: the way, in two or three words; the same in every data set.
        severity: "error": training would fail, or numbers would be wrong; "warning": worth a look.
        message: what it means.
        examples: every place where it was found.
    """

    kind: str
    severity: Severity
    message: str
    examples: tuple[str, ...]
