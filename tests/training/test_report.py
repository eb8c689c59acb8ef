"""The report at the end of a run: what it holds, and that it can cost nothing."""

import json
import re

import pytest
import torch

from pointgen.files import FileError
from pointgen.models.flows import NoPrior
from pointgen.training import report, train
from pointgen.training.log import history
from pointgen.training.report import write_report

SMALL = {"report": True, "report_shapes": 3, "preview_count": 1, "preview_points": 32}


@pytest.fixture(autouse=True)
def _single_precision(_double_and_seeded):
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A finished run with its report."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    out = tmp_path_factory.mktemp("whole") / "run"
    result = train(tiny.experiment("matching", preview_every=2, **SMALL), out, device="cpu")
    assert result.finished and result.report == out / "report.html"
    torch.set_default_dtype(before)
    return out


@pytest.fixture
def telling(tiny):
    """Make a reporter that stops after a step, and keeps what is said."""

    def make(step=99):
        reporter = tiny.Stopping(step)
        reporter.said = []
        reporter.say = reporter.said.append
        return reporter

    return make


def noted(run):
    return json.loads((run / "report.json").read_text())


def points_of(page, title):
    """How many points the first curve of a chart has."""
    (chart,) = re.findall(rf"<figcaption>{title}.*?</figure>", page, flags=re.DOTALL)
    return len(re.search(r'<polyline points="([^"]+)"', chart)[1].split())


def test_the_page_tells_what_there_is(whole, device):
    page = (whole / "report.html").read_text()
    for text in (
        "finished at step 6", "objective matching", "9 in train, 5 in val",
        f"{device.type} (", "torch 2.", "lowest validation loss",
        "New shapes (step 6)", "what came back of its code (step 6)",
        "step 2</figcaption>", "step 4</figcaption>", "Only 3 new shapes against 3 of the val",
        "1-NNA-CD", "real data", "F-score %", "another shape", "same surface", "batch_size = 4",
    ):  # fmt: skip
        assert text in page, text
    assert "Missing in this report" not in page and "step 6</figcaption>" not in page
    titles = ("Loss", "Term of the loss: kl", "Learning rate", "Throughput")
    assert [points_of(page, title) for title in titles] == [6, 6, 6, 6]
    written = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)  # letters of a picture may say anything
    assert "http" not in written and "<script" not in written


def test_the_same_for_programs(whole):
    found = noted(whole)
    assert found["step"] == found["total"] == 6 and found["finished"]
    assert found["shapes"] == {"train": 9, "val": 5} and found["problems"] == []
    assert found["sheet"]["shapes"] == found["sheet"]["references"] == 3
    assert found["sheet"]["oracle"]["scores"] and found["parameters"]["encoder"] > 0
    means = {row: of["mean"] for row, of in found["pairs"]["scores"].items()}
    assert list(means) == ["reconstruction", "another shape", "same surface"]
    assert means["same surface"]["CD"] < means["another shape"]["CD"]
    assert found["scores"]["CD (reconstruction)"] == means["reconstruction"]["CD"]
    assert found["scores"]["1-NNA-CD"] == found["sheet"]["scores"]["1-NNA-CD"]
    assert found["last_log"]["step"] == 6


def test_the_report_can_be_made_again_elsewhere(whole, tmp_path, device):
    before, again = noted(whole), tmp_path / "a.html"
    assert write_report(whole, again, json_too=tmp_path / "a.json", device=device) == []
    assert json.loads((tmp_path / "a.json").read_text()) == before
    assert again.read_text() == (whole / "report.html").read_text()


def test_it_changes_nothing_in_the_training(toy, tiny, whole, tmp_path):
    train(tiny.experiment("matching"), tmp_path, device="cpu")
    toy.assert_same(whole, tmp_path)
    assert not list(tmp_path.glob("report.*"))


def test_a_stopped_run_has_its_curves_and_the_resumed_one_all_of_them(tiny, telling, tmp_path):
    experiment = tiny.experiment("matching", **SMALL)
    result = train(experiment, tmp_path, device="cpu", reporter=telling(4))
    page = result.report.read_text()
    assert "stopped at step 4 of 6" in page and points_of(page, "Loss") == 4
    assert "Nothing was scored" in page and "Nothing was drawn" in page
    assert (noted(tmp_path)["finished"], noted(tmp_path)["scores"]) == (False, {})
    shorter = tiny.experiment("matching", steps=4, **SMALL)
    train(shorter, tmp_path, resume=True, device="cpu")
    assert noted(tmp_path)["finished"] and noted(tmp_path)["scores"]
    assert train(experiment, tmp_path, resume=True, device="cpu").report == result.report
    assert points_of(result.report.read_text(), "Loss") == 6 and noted(tmp_path)["scores"]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("before", ["page", "numbers"])
def test_a_kill_in_the_report_costs_only_the_report(
    toy, tiny, telling, whole, tmp_path, monkeypatch, before
):
    def killed(*_):
        raise Killed

    experiment = tiny.experiment("matching", **SMALL)
    place = {
        "page": "pointgen.view.report.save_report",
        "numbers": "pointgen.training.report.atomic",
    }
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(place[before], killed)
        train(experiment, tmp_path, device="cpu")
    assert (tmp_path / "report.html").exists() == (before == "numbers")
    toy.assert_same(whole, tmp_path)
    assert not (tmp_path / "report.json").exists()
    again = train(experiment, tmp_path, resume=True, device="cpu")
    assert again.finished and again.report.exists() and noted(tmp_path)["finished"]
    stamp = again.report.stat().st_mtime_ns
    third = train(experiment, tmp_path, resume=True, device="cpu", reporter=telling())
    assert third.report.stat().st_mtime_ns == stamp  # it was whole


def test_what_a_kill_leaves_of_a_page_is_removed(tiny, tmp_path):
    train(tiny.experiment("matching"), tmp_path, device="cpu")
    half = tmp_path / f".{'0' * 32}.html"
    half.touch()
    train(tiny.experiment("matching"), tmp_path, resume=True, device="cpu")
    assert not half.exists()


def test_a_report_that_fails_is_only_said(tiny, telling, tmp_path, monkeypatch):
    def full(*_, **__):
        raise FileError(tmp_path / "report.html", "cannot be written (No space left on device)")

    monkeypatch.setattr("pointgen.view.report.save_report", full)
    reporter = telling()
    result = train(tiny.experiment("matching", **SMALL), tmp_path, device="cpu", reporter=reporter)
    assert result.finished and result.report is None
    said = f"no report: {tmp_path / 'report.html'}: cannot be written (No space left on device)"
    assert reporter.said[-1] == said


def test_what_is_missing_is_told(tiny, telling, tmp_path, monkeypatch):
    build = type(tiny.DATA).build

    def without_val(self, split, **options):
        if split == "val":
            raise ValueError("no split val")
        return build(self, split, **options)

    monkeypatch.setattr(type(tiny.DATA), "build", without_val)
    reporter = telling()
    experiment = tiny.experiment("matching", validate_every=0, **SMALL)
    result = train(experiment, tmp_path, device="cpu", reporter=reporter)
    assert result.finished and noted(tmp_path)["problems"] == ["Held-out shapes: no split val"]
    assert reporter.said[-1] == "report without held-out shapes: no split val"
    page = result.report.read_text()
    assert "Missing in this report: Held-out shapes: no split val." in page
    assert "New shapes (step 6)" in page and "Nothing was scored" in page


def test_a_metric_that_fails_leaves_the_rest(tiny, tmp_path, monkeypatch):
    def odd(*_, **__):
        raise ArithmeticError("odd\nclouds")

    monkeypatch.setattr(report, "score_set", odd)
    assert train(tiny.experiment("matching", **SMALL), tmp_path, device="cpu").finished
    assert noted(tmp_path)["problems"] == ["The scores: odd clouds"]
    assert noted(tmp_path)["sheet"] is None and noted(tmp_path)["pairs"]


def test_a_run_that_was_killed_before_its_first_save(whole, tmp_path):
    (tmp_path / "config.toml").write_bytes((whole / "config.toml").read_bytes())
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "step-000002.png").write_bytes(b"half")
    (tmp_path / "report.json").write_text("[]")
    (weights, previews) = write_report(tmp_path, tmp_path / "a.html")
    assert weights.startswith("The weights:") and previews.startswith("Previews:")
    page = (tmp_path / "a.html").read_text()
    assert "no weights were saved yet" in page and "Nothing was logged yet" in page


def test_an_autoencoder_is_scored_by_its_reconstructions(tiny, tmp_path):
    experiment = tiny.experiment("matching", **SMALL)
    model = experiment.model.model_copy(update={"prior": NoPrior()})
    train(experiment.model_copy(update={"model": model}), tmp_path, device="cpu")
    found = noted(tmp_path)
    assert found["sheet"] is None and found["problems"] == []
    assert found["scores"].keys() == {f"{n} (reconstruction)" for n in ("CD", "CD-L1", "F-score")}


def test_scores_can_be_left_out(tiny, tmp_path):
    train(tiny.experiment("matching", **{**SMALL, "report_shapes": 0}), tmp_path, device="cpu")
    page = (tmp_path / "report.html").read_text()
    assert "New shapes (step 6)" in page and "leaves scores out (train.report_shapes" in page


def test_history_reads_what_the_log_wrote(whole, tmp_path):
    log = history(whole / "log.csv")
    assert log["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert [step for step, v in zip(log["step"], log["validation"], strict=True) if v == v] == [
        2, 4, 6
    ]  # fmt: skip
    assert history(tmp_path / "log.csv") == {}
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n2,")
    assert history(tmp_path / "log.csv")["loss"][0] == 0.5
    (tmp_path / "log.csv").write_text("step,loss\n1,half\n")
    with pytest.raises(ValueError, match=r"log\.csv: not the log of a training"):
        history(tmp_path / "log.csv")
