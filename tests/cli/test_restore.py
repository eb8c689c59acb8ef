"""`pointgen complete`, `denoise`, `upsample`: by an i-RIM and by a PointFlow, in a file's units."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pointgen.files import read_clouds, write_clouds
from pointgen.geometry.damage import blurred, cut, kept


@pytest.fixture
def clouds(tmp_path):
    """Two shapes of 64 points, and damaged ones."""
    whole = torch.randn(2, 64, 3) * torch.tensor([0.3, 0.1, 0.2])
    made = {
        "whole": whole, "cut": cut(whole, 0.4), "noisy": blurred(whole, 0.05),
        "few": kept(whole, 16),
    }  # fmt: skip
    for name, some in made.items():
        write_clouds(tmp_path / f"{name}.npy", some.numpy())
    return tmp_path


@pytest.fixture
def framed(pointgen, restorer, tmp_path):
    """A run of shapes in frames of their own."""
    config = text(restorer).replace("num_points = 64", 'num_points = 64\nnormalize = "shape_unit"')
    (tmp_path / "framed.toml").write_text(config)
    out, quick = tmp_path / "framed", ("--set", "train.steps=1", "--device", "cpu")
    assert pointgen("train", tmp_path / "framed.toml", "--out", out, *quick).status == 0
    return out


VERBS = {"complete": ("cut", 64), "denoise": ("noisy", 64), "upsample": ("few", 64)}
QUICK = ("--starts", 2, "--iterations", 2)


def text(run):
    """The config that a run was trained by."""
    return (run.parent / "small.toml").read_text()


def points_of(path):
    return np.stack([cloud.points for cloud in read_clouds(path)])


@pytest.mark.parametrize("verb", VERBS)
def test_an_irim_restores(pointgen, restorer, clouds, verb):
    name, count = VERBS[verb]
    more = ("--truth", clouds / "whole.npy", "--png", clouds / "a.png", "--json")
    result = pointgen(verb, restorer, clouds / f"{name}.npy", "-o", clouds / "out.npy", *more)
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert found["task"] == verb and found["clouds"] == 2 and found["failed"] == 0
    assert points_of(clouds / "out.npy").shape == (2, count, 3)
    rows = found["chamfer"].values()
    assert all(len(row["steps"]) == 3 and row["input"] > 0 for row in rows)
    if verb == "denoise":  # where it starts, which is the input
        assert all(row["steps"][0] == pytest.approx(row["input"], rel=1e-5) for row in rows)
    assert np.asarray(Image.open(clouds / "a.png")).std() > 5


@pytest.mark.parametrize("verb", VERBS)
def test_a_pointflow_infers_codes(pointgen, run, clouds, verb):
    name, count = VERBS[verb]
    options = (*QUICK, "--steps", 2, "-n", 3, "--png", clouds / "a.png", "--json")
    result = pointgen(verb, run, clouds / f"{name}.npy", "-o", clouds / "out.npy", *options)
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert list(found["results"])[:4] == [
        f"{name}-0000_0", f"{name}-0000_1", f"{name}-0000_2", f"{name}-0001_0"
    ]  # fmt: skip
    rows = list(found["results"].values())
    for row in rows:
        assert row["log_prob"] == pytest.approx(row["log_points"] + row["log_noise"], rel=1e-5)
    ranked = [row["log_prob"] for row in rows[:3]]
    assert ranked == sorted(ranked, reverse=True)
    assert points_of(clouds / "out.npy").shape == (6, count, 3)


def test_the_same_seed_gives_the_same_clouds(pointgen, restorer, clouds):
    def made(name, *options):
        args = (restorer, clouds / "cut.npy", "-o", clouds / name, "--points", 100, *options)
        assert pointgen("complete", *args).status == 0
        return points_of(clouds / name)

    first = made("a.npy")
    assert first.shape == (2, 100, 3)
    assert np.array_equal(first, made("b.npy"))
    assert not np.array_equal(first, made("c.npy", "--seed", 1))
    assert made("d.npy", "-n", 2, "--iterations", 7).shape == (4, 100, 3)


def test_frames_are_undone(pointgen, framed, clouds):
    """A model of shapes in frames of their own gives clouds back in their own units."""
    moved = 7 + 100 * points_of(clouds / "noisy.npy")
    write_clouds(clouds / "moved.npy", moved)
    for name in ("noisy", "moved"):
        args = (framed, clouds / f"{name}.npy", "-o", clouds / f"{name}_out.npy")
        assert pointgen("denoise", *args).status == 0
    expected = 7 + 100 * points_of(clouds / "noisy_out.npy")
    np.testing.assert_allclose(points_of(clouds / "moved_out.npy"), expected, atol=1e-2)


def test_a_frame_of_what_is_left_is_warned_of(pointgen, restorer, framed, clouds, tmp_path):
    """Damage that takes no side away leaves the frame nearly as it was."""
    for verb, (name, _) in VERBS.items():
        for run, warned in ((framed, verb == "complete"), (restorer, False)):
            result = pointgen(
                verb, run, clouds / f"{name}.npy", "-o", tmp_path / "a.npy", "--force"
            )
            assert result.status == 0 and ("(shape_unit)" in result.err) == warned


def test_factor_and_points_of_upsampling(pointgen, restorer, clouds):
    for options, count in ((("--factor", 3), 48), (("--points", 20), 20)):
        out = clouds / f"{count}.npy"
        result = pointgen("upsample", restorer, clouds / "few.npy", "-o", out, *options)
        assert result.status == 0 and points_of(out).shape == (2, count, 3)


def test_what_cannot_be_done_is_one_line(pointgen, restorer, run, config, clouds, tmp_path):
    out, plain = clouds / "out.npy", tmp_path / "plain"
    quick = ("--set", "train.steps=1", "--device", "cpu")
    before, after = config.read_text().split("[model.prior]")
    bare = '[model.prior]\nkind = "none"\n\n[data]' + after.split("[data]")[1]
    (tmp_path / "bare.toml").write_text(before + bare)
    assert pointgen("train", tmp_path / "bare.toml", "--out", plain, *quick).status == 0

    def error(*arguments):
        result = pointgen(*arguments)
        assert result.status == 2 and result.err.count("\n") == 1, result.err
        return result.err

    cut_cloud = clouds / "cut.npy"
    wrong = error("complete", plain, cut_cloud, "-o", out)
    assert "does not restore clouds" in wrong and "configs/irim_quickstart.toml" in wrong
    write_clouds(clouds / "tiny.npy", np.ones((1, 3, 3)))
    assert "expected at least 8 points, got 3" in error(
        "denoise", restorer, clouds / "tiny.npy", "-o", out
    )
    np.save(clouds / "nan.npy", np.full((1, 20, 3), np.nan))
    assert "nan.npy" in error("denoise", restorer, clouds / "nan.npy", "-o", out)
    np.save(clouds / "none.npy", np.zeros((1, 0, 3)))
    assert "none.npy" in error("denoise", restorer, clouds / "none.npy", "-o", out)
    assert "--iterations" in error("complete", restorer, cut_cloud, "-o", out, "--steps", 3)
    assert "--starts" in error("complete", restorer, cut_cloud, "-o", out, "--starts", 3)
    write_clouds(clouds / "one.npy", np.ones((1, 20, 3)))
    assert "expected 2 clouds, as many as inputs, got 1" in error(
        "complete", restorer, cut_cloud, "-o", out, "--truth", clouds / "one.npy"
    )
    assert not out.exists()
    assert pointgen("complete", restorer, cut_cloud, "-o", out).status == 0
    assert "--force" in error("complete", restorer, cut_cloud, "-o", out)
    assert pointgen("complete", restorer, cut_cloud, "-o", out, "--force").status == 0


def test_what_was_not_learnt_says_so(pointgen, restorer, clouds, tmp_path):
    (tmp_path / "one.toml").write_text(text(restorer))
    settings = ("--set", 'model.tasks=["denoise"]', "--set", "train.steps=1", "--device", "cpu")
    assert (
        pointgen("train", tmp_path / "one.toml", "--out", tmp_path / "one", *settings).status == 0
    )
    result = pointgen("complete", tmp_path / "one", clouds / "cut.npy", "-o", tmp_path / "out.npy")
    assert result.status == 2 and "learnt to denoise, not to complete (model.tasks)" in result.err


def test_the_report_shows_what_is_restored(pointgen, restorer):
    assert "damaged and restored in every way" in (restorer / "report.html").read_text()
    assert (restorer / "samples" / "step-000002.png").is_file()
    facts = json.loads(pointgen("info", restorer, "--json").out)
    assert facts["model"] == "irim" and facts["steps"] == 2
    report = json.loads((restorer / "report.json").read_text())
    assert report["problems"] == [] and "CD (complete)" in report["scores"]
    rows = [name for task in VERBS for name in (f"to {task}", task)]
    assert list(report["pairs"]["scores"]) == [*rows, "another shape", "same surface"]
    refused = pointgen("generate", restorer, "-o", restorer / "new.npy")
    assert refused.status == 2 and "cannot make new shapes" in refused.err


def test_clouds_are_damaged_for_trying(pointgen, clouds):
    whole, out = points_of(clouds / "whole.npy"), clouds / "bad.npy"
    more = ("--missing", 0.25, "--points", 20, "--json")
    result = pointgen("data", "damage", clouds / "whole.npy", "-o", out, *more)
    assert result.status == 0 and json.loads(result.out)["missing"] == 0.25
    for cloud, left in zip(whole, points_of(out), strict=True):
        assert len(left) == 20 and {tuple(p) for p in left} < {tuple(p) for p in cloud}
    args = ("data", "damage", clouds / "whole.npy", "-o", out, "--force")
    assert pointgen(*args, "--noise", 0.1).status == 0
    assert (points_of(out) - whole).std() == pytest.approx(0.1, rel=0.2)
    refused = pointgen(*args, "--points", 65)
    assert refused.status == 2 and "--points 65, but only 64 are left" in refused.err


def test_a_whole_cloud_has_no_fewer_points_than_what_was_left(pointgen, restorer, tmp_path):
    np.save(tmp_path / "many.npy", 0.2 * np.random.default_rng(0).normal(size=(1, 150, 3)))
    result = pointgen("complete", restorer, tmp_path / "many.npy", "-o", tmp_path / "out.npy")
    assert result.status == 0 and points_of(tmp_path / "out.npy").shape == (1, 150, 3)


def test_no_damage_is_no_request(pointgen, clouds):
    result = pointgen("data", "damage", clouds / "whole.npy", "-o", clouds / "same.npy")
    assert result.status == 2 and "expected --missing, --points or --noise" in result.err
