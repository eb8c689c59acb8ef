"""A reader sees the old file or the new one."""

import errno
import os
import pickle
import signal
import subprocess
import sys

import pytest

from pointgen.files import FileError, atomic

DIES = """
import os, signal, sys
from pathlib import Path
from pointgen.files.atomic import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_new_file_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("old", "new"):
        with atomic(path) as temporary:
            assert temporary.parent == path.parent
            assert temporary.suffix == ".txt"
            assert temporary.name.startswith(".")
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", (ValueError, KeyboardInterrupt))
def test_an_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_body_that_writes_nothing_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileError, match=r"a\.txt: .*No such file"), atomic(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize(
    ("code", "words", "said"),
    (
        (errno.ENOSPC, "a library's words about {}", "No space left on device"),
        (None, "300 requested and 0 written", "300 requested and 0 written"),
    ),
)
def test_an_error_of_the_system_names_the_target(tmp_path, code, words, said):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileError) as caught, atomic(path) as temporary:
        temporary.write_text("half")
        text = words.format(temporary)
        raise OSError(code, text) if code else OSError(text)
    assert str(caught.value) == f"{path}: cannot be written ({said})"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_taken_name_is_said_before_the_work(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name, said in (("folder", "Is a directory"), ("file/a.txt", "Not a directory")):
        path = tmp_path / name
        with pytest.raises(FileError) as caught, atomic(path):
            pytest.fail("the work was done")
        assert str(caught.value) == f"{path}: cannot be written ({said})"


def test_an_error_crosses_processes(tmp_path):
    error = FileError(tmp_path, "is odd")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == f"{tmp_path}: is odd"


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is of posix systems")
def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", DIES, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
