"""The names of the categories that a model tells apart."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator

__all__ = ["Names"]


def _several(categories: tuple[str, ...]) -> tuple[str, ...]:
    if len(categories) < 2:
        raise ValueError(f"expected two or more to tell apart, got {len(categories)}")
    if twice := [name for name, times in Counter(categories).items() if times > 1]:
        raise ValueError(f"expected each once, got {', '.join(twice)} more than once")
    return categories


Names = Annotated[tuple[str, ...], AfterValidator(_several)]
