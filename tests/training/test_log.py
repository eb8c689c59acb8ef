"""The running means and the log."""

import csv

import numpy as np
import pytest
import torch

from pointgen.training import RunError
from pointgen.training.log import Clock, Log, Meter, TrainingError, last_row

CPU = torch.device("cpu")


def meter(*steps, state=None, finite=("loss",)):
    made = Meter(CPU, state)
    for step, values in enumerate(steps):
        made.add(step, {k: torch.tensor(v) for k, v in values.items()}, finite=finite)
    return made


def test_means():
    made = meter({"loss": 1.0, "a": 5.0}, {"loss": 2.0, "a": 0.0})
    assert made.means(torch.Tensor.clone) == {"loss": 1.5, "a": 2.5}
    made.reset()
    made.add(2, {"loss": torch.tensor(7)}, finite=("loss",))
    assert made.means(torch.Tensor.clone) == {"loss": 7.0}


def test_means_go_on_from_a_state():
    first, second = {"loss": 1 / 3}, {"loss": 0.1}
    whole = meter(first, second).means(torch.Tensor.clone)
    assert meter(second, state=meter(first).state()).means(torch.Tensor.clone) == whole


def test_first_step_that_is_not_finite_is_named():
    made = meter({"loss": 1.0, "a": 1.0}, {"loss": torch.inf, "a": torch.nan}, {"loss": 1, "a": 1})
    with pytest.raises(TrainingError, match="step 1: not finite: loss, a"):
        made.means(torch.Tensor.clone)


def test_any_process_may_fail():
    good, bad = meter({"loss": 1.0}), meter({"loss": torch.nan})
    rows = []
    with pytest.raises(TrainingError):
        bad.means(lambda row: rows.append(row) or row)
    with pytest.raises(TrainingError, match="step 0"):
        good.means(lambda row: torch.cat([row, *rows]))


def test_terms_must_stay_the_same():
    with pytest.raises(ValueError, match="loss terms: expected"):
        meter({"loss": 1.0}, {"loss": 1.0, "new": 2.0})


def test_clock_leaves_pauses_out():
    clock = Clock(100.0)
    clock.count(30)
    with clock.paused():
        torch.randn(500, 500).matmul(torch.randn(500, 500)).exp().sum()
        paused = clock.total()
    times = clock.lap()
    assert times["seconds"] >= paused > 100
    assert 30 / times["points_per_second"] < times["seconds"] - 100


def read(path):
    with (path / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_continuing_drops_later_rows_and_a_torn_one(tmp_path):
    log = Log(tmp_path, 0)
    for step in (2, 4, 6):
        log.write({"step": step, "loss": 0.1 * step, "validation": None})
    log.close()
    with (tmp_path / "log.csv").open("a") as file:
        file.write("8,0.")
    log = Log(tmp_path, 4)
    log.write({"step": 6, "loss": 1 / 3, "validation": 2.0})
    log.close()
    rows = [(row["step"], row["loss"], row["validation"]) for row in read(tmp_path)]
    assert rows == [("2", "0.2", ""), ("4", "0.4", ""), ("6", repr(1 / 3), "2.0")]
    assert any((tmp_path / "tensorboard").iterdir())


def test_columns_must_stay_the_same(tmp_path):
    log = Log(tmp_path, 0)
    log.write({"step": 1, "loss": 0.5})
    with pytest.raises(TrainingError, match="no column for other"):
        log.write({"step": 2, "other": 0.5})
    log.close()


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\x00", b"hello\n1\n", b"step,a\n1," + b"x" * 2**18])
def test_rubbish_names_the_file_and_stays(tmp_path, rubbish):
    (tmp_path / "log.csv").write_bytes(rubbish)
    with pytest.raises(RunError, match=r"log\.csv: not the log of a training"):
        Log(tmp_path, 4)
    assert (tmp_path / "log.csv").read_bytes() == rubbish
    assert not (tmp_path / "tensorboard").exists()


def test_odd_digits_are_a_torn_row(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n\N{SUPERSCRIPT TWO},0.5\n", "utf-8")
    Log(tmp_path, 4).close()
    assert [row["step"] for row in read(tmp_path)] == ["1"]


def test_the_state_after_a_save_is_of_all_processes():
    """Restored in each of them, it goes on as the sums of all would have."""
    meters = [Meter(torch.device("cpu")) for _ in range(2)]
    rows = []
    for value, meter in zip((1.0, 3.0), meters, strict=True):
        meter.add(0, {"loss": torch.tensor(value)}, finite=("loss",))
        meter.means(lambda row: rows.append(row) or row)
    both = torch.cat(rows)
    assert meters[0].means(lambda row: both) == {"loss": 2.0}
    assert Meter(torch.device("cpu"), meters[0].state()).means(lambda row: row) == {"loss": 2.0}


def test_the_last_row_is_that_of_finite_numbers():
    columns = {"loss": np.array([1.0, np.inf]), "step": np.array([1.0, 2.0]), "none": np.array([])}
    assert last_row(columns) == {"step": 2.0}
