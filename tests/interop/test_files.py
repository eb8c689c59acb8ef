"""Checkpoints of any serialisation come in; damaged ones are one line, hostile ones run nothing."""

import pickle
import zipfile

import numpy as np
import pytest
import torch

from pointgen.files import FileError
from pointgen.interop import (
    Statistics,
    read_checkpoint,
    read_statistics,
    write_checkpoint,
    write_statistics,
)

STATE = {"encoder.conv1.bias": torch.arange(3.0), "point_cnf.chain.0.step": torch.ones(1)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.pt"


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_both_serialisations_bare_or_in_a_checkpoint(path, new, inside):
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))]).state_dict()
    content = {"epoch": 3, "model": STATE, "optimizer": adam} if inside else STATE
    torch.save(content, path, _use_new_zipfile_serialization=new)
    read = read_checkpoint(path)
    assert read.keys() == STATE.keys() and all(torch.equal(read[k], STATE[k]) for k in STATE)


def test_what_is_written_is_read_and_is_of_the_old_serialisation(path):
    write_checkpoint(path, {"epoch": 0, "model": STATE})
    assert not zipfile.is_zipfile(path)  # torch 1.0 knows no other
    assert read_checkpoint(path).keys() == STATE.keys()


class Hostile:
    """Makes a file when a pickle of it is read without care."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (self.trace, "w")


@pytest.mark.parametrize("how", ["pickle", "zip", "old"])
def test_a_hostile_file_runs_no_code(path, tmp_path, how):
    trace = tmp_path / "trace"
    content = {"model": STATE, "epoch": Hostile(str(trace))}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(FileError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert not trace.exists() and str(path) in message and "weights_only" not in message
    assert "open" in message or how == "pickle"


def truncated(path):
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])


def truncated_old(path):
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-5])


def bomb(path):
    torch.save(STATE, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/9", bytes(2**27))


DAMAGES = {
    "no such file": lambda path: None,
    "empty": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "PyTorch checkpoint": lambda path: path.write_text("epoch,loss\n1,2\n"),
    "be read as": truncated,
    "be read": truncated_old,
    "hostile": bomb,
    "got list": lambda path: torch.save([STATE], path),
    "got Tensor": lambda path: torch.save(torch.zeros(3), path),
    "epoch: expected a tensor, got int": lambda path: torch.save({"epoch": 3}, path),
    "names of tensors, got the key 3": lambda path: torch.save({3: torch.zeros(1)}, path),
    "more numbers than it holds": lambda path: torch.save(
        {"a": torch.zeros(1).expand(10**12)}, path
    ),
}


@pytest.mark.parametrize("words", DAMAGES)
def test_a_damaged_file_is_one_line_that_names_it(path, words):
    DAMAGES[words](path)
    with pytest.raises(FileError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert words in message and message.startswith(str(path)) and "\n" not in message


@pytest.mark.parametrize("std", [(0.2,), (0.2, 0.3, 0.4)])
def test_statistics_come_back_in_the_official_shapes(tmp_path, std):
    write_statistics(tmp_path, Statistics(torch.tensor([1.0, 2.0, 3.0]), torch.tensor(std)))
    mean = np.load(tmp_path / "train_set_mean.npy")
    assert mean.shape == (1, 1, 3) and mean.dtype == np.float32
    assert np.load(tmp_path / "train_set_std.npy").shape == (1, 1, len(std))
    read = read_statistics(tmp_path)
    assert read.mean.tolist() == [1, 2, 3]
    torch.testing.assert_close(read.std, torch.tensor(std), rtol=1e-7, atol=0)


WRONG = {
    "train_set_mean.npy: no such file": (None, np.ones((1, 1, 1))),
    "train_set_std.npy: no such file": (np.ones((1, 1, 3)), None),
    "got float64 of (3,)": (np.ones(3), np.ones((1, 1, 1))),
    "got float64 of (5, 1, 3)": (np.ones((5, 1, 3)), np.ones((5, 1, 1))),
    "got float64 of (1, 1, 2)": (np.ones((1, 1, 3)), np.ones((1, 1, 2))),
    "got complex128": (np.ones((1, 1, 3), complex), np.ones((1, 1, 1))),
    "NaN": (np.full((1, 1, 3), np.nan), np.ones((1, 1, 1))),
    "expected positive": (np.ones((1, 1, 3)), np.zeros((1, 1, 1))),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_statistics_are_refused(tmp_path, words):
    for name, array in zip(("mean", "std"), WRONG[words], strict=True):
        if array is not None:
            np.save(tmp_path / f"train_set_{name}.npy", array)
    with pytest.raises(FileError) as caught:
        read_statistics(tmp_path)
    assert words in str(caught.value)
