"""What a person is told."""

import io
import re
import time

import pytest

from pointgen.training.progress import Live, Plain, reporter


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(stream, total=100, first=0):
    to = reporter(stream)
    to.begin(first, total)
    for done in range(first + 1, total + 1):
        to.step(done)
        if done % 2 == 0:
            values = {"loss": 1.2345 / done, "lr": 1e-3, "points_per_second": 123456.0}
            to.metrics(done, {**values, "validation": -0.5 if done == 34 else None})
    to.say("a [bold] word")
    to.end()
    return stream.getvalue()


def test_plain_lines_at_tenths_and_validations():
    lines = told(io.StringIO()).splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [
        f"{step}/100" for step in (10, 20, 30, 34, 40, 50, 60, 70, 80, 90, 100)
    ]
    assert "loss 0.1234  lr 0.001  123k pts/s  0:00 left" in lines[0]
    assert "val -0.5" in lines[3]
    assert lines[-1] == "a [bold] word"


def test_plain_after_a_resume():
    lines = told(io.StringIO(), first=95).splitlines()
    assert len(lines) == 2 and lines[0].startswith("step 100/100")


def test_live_bar():
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", told(Terminal()))
    assert "a [bold] word" in text
    line = text.splitlines()[-1]
    assert "100/100" in line and "val -0.5" in line and line.rstrip().endswith("left")
    assert "\N{HORIZONTAL ELLIPSIS}" not in text, "too wide for 80 columns"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_preparing_is_told(stream):
    to = reporter(stream)
    for done in range(1, 4):
        to.prepare(done, 3)
    to.begin(0, 10)
    to.end()
    assert "3 of 3" in stream.getvalue() or "preparing" in stream.getvalue()


def test_the_stream_decides():
    assert isinstance(reporter(io.StringIO()), Plain)
    assert isinstance(reporter(Terminal()), Live)


class Broken(io.StringIO):
    """A pipe or terminal whose other end goes away after some writes."""

    def __init__(self, works, terminal):
        super().__init__()
        self.works, self.terminal, self.failed = works, terminal, 0

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.works -= 1
        if self.works < 0:
            self.failed += 1
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("works", [0, 3])
def test_broken_stream_ends_the_reports_only(terminal, works):
    stream = Broken(works, terminal)
    to = reporter(stream)
    to.prepare(1, 1)
    to.begin(0, 100)
    for done in range(1, 101):
        to.step(done)
        to.metrics(done, {"loss": 1.0})
    time.sleep(0.15)  # a live bar is drawn ten times a second
    to.say("a word")
    to.end()
    assert stream.failed == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_stream_that_cannot_be_flushed_ends_the_reports_only(terminal):
    class Full(Broken):
        def flush(self):
            raise OSError(5, "Input/output error")

    told(Full(10**6, terminal))
