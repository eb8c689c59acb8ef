import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from pointgen.datasets import (
    DataConfig,
    MeshesConfig,
    Pc15kConfig,
    ProceduralConfig,
    write_procedural,
)
from pointgen.datasets.procedural import CATEGORIES
from pointgen.datasets.procedural.config import shape_id

SMALL = {"size": 4, "val_size": 2, "test_size": 2, "num_points": 64}


def test_the_kind_chooses_the_config():
    adapter = TypeAdapter(DataConfig)
    assert adapter.validate_python({"kind": "procedural", "categories": ["mug"]}).size == 1000
    assert isinstance(adapter.validate_python({"kind": "pc15k", "root": "x"}), Pc15kConfig)
    assert isinstance(adapter.validate_python({"kind": "meshes", "root": "x"}), MeshesConfig)
    with pytest.raises(ValidationError, match="sise"):
        adapter.validate_python({"kind": "procedural", "sise": 3})


def test_every_category_is_sampled_well():
    data = ProceduralConfig(categories="all", **SMALL).build("val")
    assert data.categories == tuple(CATEGORIES)
    assert [item.label for item in data] == sorted(2 * list(range(len(CATEGORIES))))
    for item in data:
        both = torch.cat([item.points, item.target])
        assert torch.isfinite(both).all()
        assert both.abs().max() < 0.6
        assert len(torch.unique(both, dim=0)) == 128  # the two draws share no point


def test_a_shape_depends_on_seed_split_category_and_number_only():
    def points(split="train", index=1, category="chair", **changes):
        data = ProceduralConfig(**(SMALL | changes)).build(split)
        return data.points()[data.ids.index(shape_id(category, index, split))]

    base = points()
    assert torch.equal(base, points(size=2))
    assert torch.equal(base, points(categories=("car", "chair")))
    for other in (points(seed=1), points(split="val"), points(split="test"), points(index=0)):
        assert not torch.equal(base, other)


def test_no_two_shapes_have_one_name():
    config = ProceduralConfig(categories=("chair", "mug"), **SMALL)
    ids = [id for split in ("train", "val", "test") for id in config.build(split).ids]
    assert len(set(ids)) == len(ids) == 2 * (4 + 2 + 2)
    assert {"chair_00000", "chair_val_00000", "mug_test_00001"} <= set(ids)


def test_progress_is_told():
    seen = []
    ProceduralConfig(**SMALL).build("train", progress=lambda *state: seen.append(state))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pools_hold_more_than_one_draw():
    data = ProceduralConfig(**SMALL).build("val")
    first, second = (data.draw(0, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(torch.unique(torch.cat([first.target, second.target]), dim=0)) > 70


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"categories": ["boat"]}, "expected some of airplane.*got boat"),
        ({"categories": ["mug", "car", "mug"]}, "each category once, got mug more than once"),
        ({"categories": []}, "categories"),
        ({"size": 0}, "size"),
        ({"normalize": "whole"}, "normalize"),
        ({"on_error": "ignore"}, "on_error"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValidationError, match=message):
        ProceduralConfig(**settings)


def test_pools_too_small_are_named():
    with pytest.raises(
        ValueError, match=r"^data\.points_per_shape: expected at least 192.*got 100"
    ):
        ProceduralConfig(points_per_shape=100, **SMALL).build("train")


@pytest.fixture
def written(tmp_path):
    config = ProceduralConfig(categories=("chair", "mug"), size=2, val_size=1, test_size=1)
    write_procedural(config, tmp_path / "shapes")
    return config, tmp_path / "shapes"


def test_what_is_written_can_be_read(written):
    _, out = written
    meshes = MeshesConfig(root=out, num_points=100, points_per_shape=300).build("train")
    points = Pc15kConfig(root=out / "points").build("train")
    assert meshes.ids == points.ids == ["chair_00000", "chair_00001", "mug_00000", "mug_00001"]
    assert meshes.categories == points.categories == ("chair", "mug")
    for sampled, stored in zip(meshes, points, strict=True):
        low, high = stored.target.amin(0), stored.target.amax(0)
        assert torch.allclose(sampled.target.amin(0), low, atol=0.08)
        assert torch.allclose(sampled.target.amax(0), high, atol=0.08)


def test_attributes_are_written_for_each_shape(written):
    _, out = written
    rows = list(csv.DictReader((out / "attributes.csv").open()))
    assert len(rows) == 8
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    chair, mug = rows[0], rows[-1]
    assert 0.32 <= float(chair["seat_height"]) <= 0.46
    assert mug["category"] == "mug"
    assert mug["seat_height"] == ""


def test_writing_again_gives_the_same_bytes(written, tmp_path):
    config, out = written
    write_procedural(config, tmp_path / "again")
    first = {path.relative_to(out): path for path in out.rglob("*") if path.is_file()}
    assert len(first) == 8 + 8 + 1
    for name, path in first.items():
        assert (tmp_path / "again" / name).read_bytes() == path.read_bytes()


def test_nothing_is_overwritten_unless_forced(written):
    _, out = written
    smaller = ProceduralConfig(categories=("mug",), size=1, val_size=1, test_size=1)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"shapes: expected an empty folder.*--force"):
        write_procedural(smaller, out)
    write_procedural(smaller, out, force=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert [path.name for path in (out / "mug" / "train").iterdir()] == ["mug_00000.ply"]
    assert [path.name for path in (out / "mug" / "test").iterdir()] == ["mug_test_00000.ply"]
    with pytest.raises(ValueError, match=r"notes\.txt: expected a folder, found a file"):
        write_procedural(smaller, out / "notes.txt")


def test_heavy_packages_wait_until_they_are_needed():
    code = "import sys, pointgen.datasets; print({'trimesh', 'h5py', 'open3d'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
