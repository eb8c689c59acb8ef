"""Telling a person how a training goes: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
from collections.abc import Mapping
from time import perf_counter
from typing import Protocol, TextIO, cast

__all__ = ["Live", "Plain", "Reporter", "Silent", "reporter"]

SECONDS_BETWEEN_LINES = 30.0  # while data are prepared


class Reporter(Protocol):
    """What the loop tells, and when."""

    def prepare(self, done: int, total: int) -> None:
        """`done` of `total` shapes are prepared, before the training."""

    def begin(self, done: int, total: int) -> None:
        """The training starts, with `done` of `total` steps behind it."""

    def step(self, done: int) -> None:
        """A step is done; called at each, so it must be cheap."""

    def metrics(self, done: int, values: Mapping[str, float | None]) -> None:
        """A row was written to the log."""

    def say(self, text: str) -> None:
        """Something a person should know, in one line."""

    def end(self) -> None:
        """The training ended, well or not."""


def reporter(stream: TextIO) -> Reporter:
    """Return the reporter that suits a stream; it falls silent when the stream fails."""
    lasting = cast(TextIO, Lasting(stream))
    return Live(lasting) if stream.isatty() else Plain(lasting)


class Lasting(io.TextIOBase):
    """A stream that swallows what is written once the one below it has failed.

    Whoever read it is gone (a closed pipe, a terminal that was shut), and the training is worth
    more than its reports. As a stream, since rich ends the process on a closed pipe.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._encoding = stream.encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._encoding

    def isatty(self) -> bool:
        """Whether the stream is a terminal that still works."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> int:
        """Write, as long as the stream works."""
        try:
            if self._stream is not None:
                self._stream.write(text)
        except OSError:
            self._stream = None
        return len(text)

    def flush(self) -> None:
        """Flush, as long as the stream works."""
        try:
            if self._stream is not None:
                self._stream.flush()
        except OSError:
            self._stream = None


class Silent:
    """Tells nothing."""

    def prepare(self, done: int, total: int) -> None:
        """Do nothing."""

    def begin(self, done: int, total: int) -> None:
        """Do nothing."""

    def step(self, done: int) -> None:
        """Do nothing."""

    def metrics(self, done: int, values: Mapping[str, float | None]) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Plain:
    """Writes a line at every tenth of the training and at each validation."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begun, self._first, self._total, self._tenth = 0.0, 0, 0, 0

    def prepare(self, done: int, total: int) -> None:
        """Write a line at the end, and on the way if it takes long."""
        now = perf_counter()
        self._begun = self._begun or now
        if done == total or now - self._begun > SECONDS_BETWEEN_LINES:
            self._begun = now
            self.say(f"prepared {done} of {total} shapes")

    def begin(self, done: int, total: int) -> None:
        """Note where the training starts."""
        self._begun, self._first, self._total = perf_counter(), done, total
        self._tenth = 10 * done // total

    def step(self, done: int) -> None:
        """Do nothing: a line needs metrics."""

    def metrics(self, done: int, values: Mapping[str, float | None]) -> None:
        """Write a line if the next tenth has been reached, or there is a validation."""
        tenth = 10 * done // self._total
        if tenth == self._tenth and values.get("validation") is None:
            return
        self._tenth = tenth
        left = (perf_counter() - self._begun) / (done - self._first) * (self._total - done)
        self.say(f"step {done}/{self._total}  {_summary(values)}  {_clock(left)} left")

    def say(self, text: str) -> None:
        """Write a line."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def end(self) -> None:
        """Do nothing."""


class Live:
    """A bar that moves with the steps, and the last metrics beside it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=10),  # the rest of an 80-column terminal is for the numbers
            TextColumn("{task.fields[summary]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=Console(file=stream),
        )
        self._task = self._progress.add_task("", total=None, summary="preparing shapes")
        self._validation: float | None = None

    def prepare(self, done: int, total: int) -> None:
        """Move a bar of its own."""
        self._progress.update(self._task, completed=done, total=total)
        self._progress.start()

    def begin(self, done: int, total: int) -> None:
        """Show the bar."""
        self._progress.reset(self._task, completed=done, total=total, summary="")
        self._progress.start()

    def step(self, done: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done)

    def metrics(self, done: int, values: Mapping[str, float | None]) -> None:
        """Show the metrics, and the last validation until the next."""
        validation = values.get("validation")
        self._validation = self._validation if validation is None else validation
        summary = _summary({**values, "validation": self._validation})
        self._progress.update(self._task, summary=summary)

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()


def _summary(values: Mapping[str, float | None]) -> str:
    parts = [f"loss {values.get('loss') or 0.0:.4g}"]
    if (validation := values.get("validation")) is not None:
        parts += [f"val {validation:.4g}"]
    parts += [f"lr {values.get('lr') or 0.0:.2g}"]
    parts += [f"{_thousands(values.get('points_per_second') or 0.0)} pts/s"]
    return "  ".join(parts)


def _thousands(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
