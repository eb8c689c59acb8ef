"""Checking meshes, ShapeNet's trees and tables, and HDF5 files."""

import csv

import h5py
import numpy as np
import pytest

from pointgen.datasets import Hdf5Config, MeshesConfig
from pointgen.datasets.check import check

CHAIRS, BENCHES = "03001627", "02828884"
SPLITS = {
    CHAIRS: ["train"] * 9 + ["val"] * 5 + ["test"] * 5,
    BENCHES: ["train"] * 5 + ["val"] * 3 + ["test"] * 3,
}


@pytest.fixture
def tree(tmp_path, write_mesh):
    """ShapeNetCore.v2 with two synsets, and its table."""
    rows = []
    for synset in (CHAIRS, BENCHES):
        for number, split in enumerate(SPLITS[synset]):
            name = f"{synset}abc{number}"
            height = 2 + number / 100 + 0.001 * (synset == CHAIRS)
            write_mesh(tmp_path / synset / name / "models/model_normalized.obj", height)
            rows.append({"synsetId": synset, "modelId": name, "split": split})
    table(tmp_path, rows)
    return tmp_path


def table(root, rows):
    with (root / "all.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["synsetId", "modelId", "split"])
        writer.writeheader()
        writer.writerows(rows)


def findings(config, **settings):
    return {each.kind: each for each in check(config, **settings).findings}


def severities(config, **settings):
    return {kind: each.severity for kind, each in findings(config, **settings).items()}


def meshes(root):
    return MeshesConfig(root=root, num_points=20, points_per_shape=300)


def model(root, number, synset=CHAIRS):
    return root / synset / f"{synset}abc{number}" / "models" / "model_normalized.obj"


def test_a_clean_tree_has_no_findings(tree):
    before = sorted(tree.rglob("*"))
    report = check(meshes(tree), num_points=20)
    assert report.findings == ()
    assert (report.examined, report.points) == (30, {300: 30})
    assert sorted(tree.rglob("*")) == before
    stances = {its.category: its.up for its in report.stances}
    assert stances == {"chair": "y", "bench": None}


def test_both_versions_in_one_tree(tree):
    old = model(tree, 0)
    old.rename(old.parent.parent / "model.obj")
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"mixed versions": "error"}
    assert found["mixed versions"].examples == (str(old.parent.parent),)
    assert "1 meshes of version 1" in found["mixed versions"].message


def test_models_that_the_table_lists_and_the_disk_lacks(tree):
    model(tree, 0).unlink()
    model(tree, 0).parent.rmdir()
    model(tree, 0).parent.parent.rmdir()
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"missing ids": "warning"}
    assert found["missing ids"].examples == (f"{CHAIRS}/{CHAIRS}abc0",)


def test_models_that_the_table_does_not_list(tree, write_mesh):
    write_mesh(tree / CHAIRS / "stranger" / "models/model_normalized.obj", 2.5)
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"unlisted ids": "warning"}
    assert found["unlisted ids"].examples == (f"{CHAIRS}/stranger",)


def test_a_model_without_a_mesh(tree):
    model(tree, 3).unlink()
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"unusable": "error"}
    assert "abc3: expected a file, got a folder" in found["unusable"].examples[0]


def test_a_folder_that_is_no_synset(tree):
    (tree / BENCHES).rename(tree / "12345678")
    lines = (tree / "all.csv").read_text().replace(f"{BENCHES},", "12345678,")
    (tree / "all.csv").write_text(lines)
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"unknown synset": "warning"}
    assert found["unknown synset"].examples == (str(tree / "12345678"),)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\n", b"synsetId\n1\n"])
def test_a_table_that_cannot_be_used_is_named(tree, content):
    (tree / "all.csv").write_bytes(content)
    found = findings(meshes(tree))
    assert set(found) >= {"unreadable table", "absent"}
    assert str(tree / "all.csv") in found["unreadable table"].examples[0]


def test_copies_of_meshes_though_their_samples_differ(tree):
    model(tree, 1).write_bytes(model(tree, 0).read_bytes())
    assert severities(meshes(tree)) == {"copies": "warning"}
    model(tree, 16).write_bytes(model(tree, 0).read_bytes())
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"leak": "error"}
    assert found["leak"].examples[0].count(" = ") == 2


def test_bad_meshes_do_not_hide_each_other(tree):
    model(tree, 0).write_text("v 0 0 0\n")
    model(tree, 11).write_text("v 1 nan 0\nv 0 0 0\nv 1 1 1\nf 1 2 3\n")
    found = findings(meshes(tree))
    assert {kind: each.severity for kind, each in found.items()} == {"unusable": "error"}
    assert len(found["unusable"].examples) == 2


def clouds(count, points=64, seed=0):
    rng = np.random.default_rng([seed, count])
    return 0.7 * rng.normal(size=(count, points, 3)).astype(np.float32)


@pytest.fixture
def dpm(tmp_path):
    """As DPM's shapenet.hdf5."""
    path = tmp_path / "shapenet.hdf5"
    with h5py.File(path, "w") as file:
        for split, count in {"train": 9, "val": 5, "test": 6}.items():
            file[f"{CHAIRS}/{split}"] = clouds(count)
            file[f"{BENCHES}/{split}"] = clouds(count, seed=1)
    return path


def test_a_clean_file_has_no_findings(dpm):
    report = check(Hdf5Config(path=dpm), num_points=64)
    assert report.findings == ()
    assert {str(group): count for group, count in report.shapes.items()}["bench/val"] == 5


def change(path, key, make):
    with h5py.File(path, "r+") as file:
        array = make(file[key][()])
        del file[key]
        file[key] = array


def nan(array):
    array[[1, 3], 7, 0] = np.nan
    return array


def test_shapes_that_are_not_finite(dpm):
    change(dpm, f"{CHAIRS}/train", nan)
    found = findings(Hdf5Config(path=dpm))
    assert {kind: each.severity for kind, each in found.items()} == {"unusable": "error"}
    assert len(found["unusable"].examples) == 2
    assert "1 of 64 not finite" in found["unusable"].examples[0]


def test_a_category_without_shapes_in_a_split(dpm):
    with h5py.File(dpm, "r+") as file:
        del file[f"{BENCHES}/test"]
    found = findings(Hdf5Config(path=dpm))
    assert {kind: each.severity for kind, each in found.items()} == {"absent": "error"}
    assert found["absent"].examples == ("bench/test: no shape of bench in split test",)


def test_points_are_counted_as_the_config_uses_them(dpm):
    assert severities(Hdf5Config(path=dpm), num_points=65) == {"too few points": "error"}
    assert severities(Hdf5Config(path=dpm, pools="disjoint"), num_points=21) == {}
    disjoint = severities(Hdf5Config(path=dpm, pools="disjoint"), num_points=22)
    assert disjoint == {"too few points": "error"}


def test_files_that_cannot_be_opened_are_all_named(tmp_path):
    for name in ("train0", "train1", "test0"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = clouds(9)
    for name in ("train1", "test0"):
        (tmp_path / f"{name}.h5").write_bytes(b"damage")
    found = findings(Hdf5Config(path=tmp_path))
    assert {kind: each.severity for kind, each in found.items()} == {"unopened": "error"}
    assert [text.split(":")[0] for text in found["unopened"].examples] == [
        str(tmp_path / "test0.h5"),
        str(tmp_path / "train1.h5"),
    ]
