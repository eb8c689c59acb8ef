"""`pointgen data pack`, from a path or a config to a file that trains."""

import json

import h5py
import numpy as np
import pytest
import trimesh

from pointgen.files import read_clouds


@pytest.fixture
def boxes(tmp_path):
    folder = tmp_path / "boxes"
    folder.mkdir()
    for number in range(6):
        trimesh.creation.box((1, 1 + number, 1)).export(folder / f"{number}.obj")
    return folder


def test_a_folder_becomes_a_file(pointgen, boxes, tmp_path):
    out = tmp_path / "boxes.h5"
    result = pointgen("data", "pack", boxes, "-o", out)
    assert result.status == 0 and result.out == ""
    assert "4 train, 1 val, 1 test shapes" in result.err and f'path = "{out}"' in result.err
    with h5py.File(out) as file:
        assert file["train/normals"].shape == file["train/points"].shape == (4 * 15_000, 3)


def test_the_file_trains(pointgen, config, boxes, tmp_path):
    out = tmp_path / "boxes.h5"
    pointgen("data", "pack", boxes, "-o", out)
    data = f'data={{kind="hdf5", path="{out}", num_points=64}}'
    trained = pointgen("train", config, "--set", data, "--out", tmp_path / "run")
    assert trained.status == 0, trained.err


def test_a_config_becomes_a_file_and_is_reported_as_json(pointgen, config, tmp_path):
    out = tmp_path / "chairs.hdf5"
    result = pointgen("data", "pack", config, "-o", out, "--split", "test", "--json")
    assert result.status == 0
    report = json.loads(result.out)
    assert report["file"] == str(out) and report["bytes"] == out.stat().st_size
    assert report["splits"] == {"test": {"shapes": 4, "points": 4 * 6 * 64, "left_out": []}}


def test_bad_shapes_are_left_out_on_demand(pointgen, boxes, tmp_path):
    (boxes / "0.obj").write_text("nonsense")
    out = tmp_path / "boxes.h5"
    refused = pointgen("data", "pack", boxes, "-o", out)
    assert refused.status == 2 and "0.obj" in refused.err and not out.exists()
    again = pointgen("data", "pack", boxes, "-o", out, "--on-error", "skip", "--force")
    assert again.status == 0 and "1 shapes left out; the first: " in again.err


def test_mistakes_are_one_line(pointgen, boxes, tmp_path):
    out = tmp_path / "boxes.h5"
    out.write_text("mine")
    mistakes = {
        "exists already; --force": (boxes, "-o", out),
        "expected the ending .h5": (boxes, "-o", tmp_path / "boxes.zip"),
        "nowhere: expected an HDF5 file": (tmp_path / "nowhere", "-o", tmp_path / "a.h5"),
        "not valid TOML": (broken(tmp_path), "-o", tmp_path / "a.h5"),
    }
    for message, arguments in mistakes.items():
        result = pointgen("data", "pack", *arguments)
        assert result.status == 2 and message in result.err
        assert len(result.err.strip().splitlines()) == 1
    assert out.read_text() == "mine"


def broken(folder):
    path = folder / "broken.toml"
    path.write_text("[data")
    return path


def test_points_of_a_packed_file_are_not_taken_for_one_cloud(pointgen, boxes, tmp_path):
    out = tmp_path / "boxes.h5"
    pointgen("data", "pack", boxes, "-o", out)
    with pytest.raises(ValueError, match="expected one array named points"):
        read_clouds(out)
    assert np.isfinite(h5py.File(out)["test/points"][()]).all()
