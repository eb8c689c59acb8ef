"""The one error of this part, and what every call into the decoding library goes through."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ImageError", "expect", "library"]


class ImageError(ValueError):
    """A picture that cannot be used; the message starts with its path."""

    def __init__(self, path: Path, message: str):
        super().__init__(path, message)  # both, so that it survives the way out of a process

    def __str__(self) -> str:
        """Return the path and what is wrong with it."""
        path, message = self.args
        return f"{path}: {message}"


def expect(condition: bool, path: Path, message: str) -> None:
    """Raise an `ImageError` with the message unless the condition holds."""
    if not condition:
        raise ImageError(path, message)


@contextmanager
def library(path: Path) -> Iterator[None]:
    """Turn any exception of Pillow into an `ImageError` and silence what it warns of.

    It warns of sizes, which are checked here, and of damaged notes in a file whose pixels are well.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except Exception as error:  # a decoder fed with damage may raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(path, f"cannot be read as a picture: {reason}") from error
