"""What verbs print: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import typer

__all__ = ["Advance", "check_free", "print_json", "progress", "say", "write_json"]


class Advance(Protocol):
    """Called with how much is done, of how much."""

    def __call__(self, done: int, total: int, /) -> None:
        """Move the bar."""


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    typer.echo(json.dumps(value, indent=2, default=str))


def check_free(path: Path | None, *, force: bool) -> None:
    """Refuse a file to write that exists already, before the work rather than after it."""
    if path is not None and (path.is_dir() or (path.exists() and not force)):
        raise FileExistsError(f"{path}: exists already; --force overwrites a file")


def write_json(path: Path, value: Any) -> None:
    """Write a result for programs, complete or not at all."""
    from pointgen.files import atomic

    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2))


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Show a bar on stderr with the time left, if it is a terminal; yield what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
