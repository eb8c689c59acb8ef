"""`pointgen score`: rows for people and programs, AUROC, and what cannot be scored."""

import json

import numpy as np
import pytest

from pointgen.cli.score import _table
from pointgen.files import write_clouds


@pytest.fixture
def clouds(tmp_path):
    """Two folders: shapes like those of the run, and tiny ones far away."""
    rng = np.random.default_rng(0)
    near, far = 0.3 * rng.normal(size=(3, 40, 3)), 5 + 0.01 * rng.normal(size=(2, 40, 3))
    write_clouds(tmp_path / "near.npy", near)
    write_clouds(tmp_path / "far.npy", far)
    return tmp_path


QUICK = ("--draws", 3, "--steps", 3, "--reference", 2)


def test_rows_for_people_and_for_programs(pointgen, run, clouds):
    result = pointgen("score", run, clouds / "near.npy", *QUICK)
    assert result.status == 0, result.err
    head, *rows = result.out.splitlines()
    assert head.split()[:5] == ["log_prob", "error", "points", "code", "surprise"]
    assert len(rows) == 3
    found = json.loads(pointgen("score", run, clouds / "near.npy", *QUICK, "--json").out)
    row = next(iter(found["clouds"].values()))
    assert f"{row['log_prob']:.3f}" in rows[0]
    assert row["surprise"] == -row["log_prob"] and row["typicality"] >= 0
    assert row["points"] + row["code"] <= row["log_prob"] + 1e-6


def test_strange_shapes_are_told_apart(pointgen, run, clouds):
    known = ("--known", clouds / "near.npy", "--background", run)
    result = pointgen("score", run, clouds / "far.npy", *QUICK, *known, "--json")
    found = json.loads(result.out)
    assert found["auroc"]["surprise"] == found["auroc"]["typicality"] == 1
    assert found["auroc"]["ratio"] == 0.5  # against itself nothing is left
    assert len(found["known"]) == 3


def test_noise_makes_sharp_shapes_less_likely(pointgen, run, clouds):
    def mean(*options):
        out = pointgen("score", run, clouds / "near.npy", *QUICK, *options, "--json").out
        return np.mean([row["log_prob"] for row in json.loads(out)["clouds"].values()])

    assert mean("--noise", 1.0) < mean() - 0.1


def test_what_has_no_density_says_so(pointgen, run, config, clouds):
    one = ("--set", 'model.posterior="deterministic"', "--set", "train.steps=1")
    plain = clouds / "plain"
    assert pointgen("train", config, "--out", plain, *one, "--device", "cpu").status == 0
    result = pointgen("score", plain, clouds / "near.npy")
    assert result.status == 2 and "no densities of clouds" in result.err
    write_clouds(clouds / "huge.npy", 1e30 * np.random.default_rng(0).normal(size=(1, 9, 3)))
    huge = pointgen("score", run, clouds / "huge.npy", *QUICK)
    assert huge.status == 2 and "huge: log p(X) is not a finite number" in huge.err
    missing = pointgen("score", run, clouds / "none.npy", "--reference", 0)
    assert missing.status == 2 and "no such file" in missing.err


def test_inputs_are_looked_for_before_anything_is_scored(pointgen, run, clouds):
    for where in ((clouds / "none.npy",), (clouds / "near.npy", "--known", clouds / "none.npy")):
        result = pointgen("score", run, *where, *QUICK)
        assert result.status == 2 and "none.npy: no such file" in result.err


def test_large_numbers_stand_apart():
    row = dict.fromkeys(("log_prob", "error", "points", "code", "surprise"), -557859456.0)
    table = _table({"a": row, "far": row | {"error": 0.5}}, ["surprise"])
    assert [len(line.split()) for line in table.splitlines()] == [5, 6, 6]
    assert "0.500" in table
