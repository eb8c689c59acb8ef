"""A lock on a folder's work that ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked"]


@contextmanager
def locked(path: Path, taken: Callable[[str], Exception]) -> Iterator[None]:
    """Hold a lock on a file, which is made if it is missing and names the process that holds it.

    A POSIX record lock is not inherited by workers, which may outlive a killed process for some
    seconds. Systems and file systems without such locks go unprotected.

    Args:
        path: the file.
        taken: makes the error to raise of the process that holds the lock, or "unknown".
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise taken(file.read().strip() or "unknown") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
