"""What verbs print: results on stdout, progress and remarks on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import typer

__all__ = ["HTML", "Advance", "check_free", "print_json", "progress", "refuse", "say", "write_json"]

HTML = (".html", ".htm")


class Advance(Protocol):
    """Called with how much is done, of how much."""

    def __call__(self, done: int, total: int, /) -> None:
        """Move the bar."""


def say(text: str) -> None:
    """Tell the person something that is not the result, if there is still somebody to hear it."""
    with suppress(OSError):
        typer.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a result for programs."""
    from pointgen.files.json_text import json_text

    typer.echo(json_text(value))


def check_free(path: Path | None, *, force: bool, endings: Sequence[str] = ()) -> None:
    """Refuse a file to write that exists already or cannot be made, before the work.

    Raises:
        ValueError: Its name does not end in one of the endings, where some are given.
        FileExistsError: It is there already.
        FileError: There is no folder for it, and none can be made.
    """
    from pointgen.files.targets import check_folder

    if path is None:
        return
    if endings and path.suffix.lower() not in endings:
        raise ValueError(f"{path}: expected a name that ends in {', '.join(endings)}")
    if path.is_dir() or (path.exists() and not force):
        raise FileExistsError(f"{path}: exists already; --force overwrites a file")
    check_folder(path, path.parent)


def refuse(given: Mapping[str, object], why: str) -> None:
    """Refuse the options that are given, of some that would change nothing.

    Raises:
        ValueError: Some are; the message names them.
    """
    if wrong := [name for name, value in given.items() if value]:
        raise ValueError(f"{', '.join(wrong)}: {why}")


def write_json(path: Path, value: Any) -> None:
    """Write a result for programs, complete or not at all."""
    from pointgen.files import atomic
    from pointgen.files.json_text import json_text

    with atomic(path) as temporary:
        temporary.write_text(json_text(value), encoding="utf-8")


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
