import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from pointgen.datasets import MeshesConfig
from pointgen.datasets.layouts import hash_splits
from pointgen.datasets.pack import pack
from pointgen.datasets.surfaces import cache_folder
from pointgen.files import MESH_SUFFIXES


def config(root, **settings):
    return MeshesConfig(
        **{"root": root, "num_points": 20, "points_per_shape": 90, "normalize": "none"} | settings
    )


def ids(settings):
    return {split: list(settings.build(split).ids) for split in ("train", "val", "test")}


@pytest.fixture
def folder(tmp_path, write_mesh):
    for index in range(12):
        write_mesh(tmp_path / "things" / "deep" / f"m{index:02d}.off", height=10 + index)
    (tmp_path / "things" / "notes.csv").write_text("not a mesh")
    return tmp_path / "things"


def test_any_folder_is_one_category_divided_by_hash(folder):
    found = ids(config(folder))
    assert config(folder).build("train").categories == ("things",)
    assert sorted(itertools.chain(*found.values())) == [f"deep/m{index:02d}" for index in range(12)]
    assert all(found.values())
    assert found == ids(config(folder))
    assert found != ids(config(folder, seed=3))


def test_every_format_that_is_read_is_a_mesh_of_a_data_set(tmp_path):
    box = trimesh.creation.box()
    for ending in MESH_SUFFIXES:
        folder = tmp_path / "boxes" / ending[1:]
        folder.mkdir(parents=True)
        if ending == ".gltf":  # several files: the scene and its buffers
            for name, content in trimesh.Scene(box).export(file_type="gltf").items():
                (folder / name).write_bytes(content)
        else:
            box.export(folder / f"box{ending}")
    data = config(tmp_path / "boxes", splits=(1, 0, 0)).build("train")
    assert len(data) == len(MESH_SUFFIXES)


def test_points_lie_on_the_surface_and_the_pools_differ(folder):
    data = config(folder, points_per_shape=6000).build("train")
    for item in data:
        height = 10 + int(item.id.removeprefix("deep/m"))
        both = torch.cat([item.points, item.target]).double().numpy()
        box = trimesh.creation.box(bounds=[[0, 0, 0], [1, height, 1]])
        _, distances, _ = trimesh.proximity.closest_point_naive(box, both)
        assert distances.max() < 1e-5
        assert len(np.unique(both, axis=0)) == 40


def test_a_mesh_that_may_not_be_read_is_left_out_or_named(folder, monkeypatch, tmp_path):
    train = config(folder).jobs("train")[1]
    refused, plain = train[1].mesh, Path.read_text

    def read_text(path, **named):
        if path == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, **named)

    refused = refused.rename(refused.with_suffix(".obj"))
    monkeypatch.setattr(Path, "read_text", read_text)
    with pytest.warns(UserWarning, match=r"1 of \d+ shapes left out.*Permission denied"):
        data = config(folder, on_error="skip").build("train")
    assert len(data) == len(train) - 1
    with pytest.raises(ValueError, match=f"{refused.name}: cannot be read"):
        pack(config(folder), tmp_path / "a.h5")


def test_sampling_happens_once(folder, user_cache, write_mesh):
    first = config(folder).build("train")
    cached = {path: path.stat().st_mtime_ns for path in user_cache.iterdir()}
    again = config(folder).build("train")
    assert torch.equal(first.points(), again.points())
    assert cached == {p: p.stat().st_mtime_ns for p in user_cache.iterdir()}
    write_mesh(folder / f"{first.ids[0]}.off", height=99)  # a file of the same size
    changed = config(folder).build("train")
    assert changed[0].points[:, 1].max() > 40
    assert torch.equal(changed.points()[1:], first.points()[1:])


def test_a_torn_cache_file_is_made_again(folder, user_cache):
    first = config(folder).build("train").points()
    for path in user_cache.iterdir():
        path.write_bytes(path.read_bytes()[:300])
    assert torch.equal(first, config(folder).build("train").points())


def test_the_seed_and_the_count_are_part_of_the_cache(folder):
    whole = {"splits": (1, 0, 0)}
    first = config(folder, **whole).build("train").points()
    assert not torch.equal(first, config(folder, seed=1, **whole).build("train").points())
    assert not torch.equal(
        first, config(folder, points_per_shape=99, **whole).build("train").points()
    )
    assert torch.equal(first, config(folder, **whole).build("train").points())


def test_the_data_folder_stays_as_it_is(folder, user_cache):
    before = sorted(folder.rglob("*"))
    config(folder).build("val")
    assert sorted(folder.rglob("*")) == before
    assert list(user_cache.glob("*.npy"))


def test_the_cache_can_lie_elsewhere(folder, tmp_path, user_cache):
    config(folder, cache=tmp_path / "cache").build("val")
    assert list((tmp_path / "cache").glob("*.npy"))
    assert not user_cache.exists()


@pytest.mark.skipif(os.name != "posix", reason="~/.cache is of posix systems")
def test_without_a_setting_the_cache_is_in_the_home(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / ".cache" / "pointgen" / "surfaces"


def test_equal_files_of_other_folders_or_roots_share_no_points(tmp_path, write_mesh):
    whole = {"splits": (1, 0, 0)}
    for name in ("a", "b"):
        os.utime(write_mesh(tmp_path / name / "in" / "m.off"), ns=(1, 1))
    write_mesh(tmp_path / "b" / "in" / "m.off", height=2)
    os.utime(tmp_path / "b" / "in" / "m.off", ns=(1, 1))
    first, other = (config(tmp_path / name, **whole).build("train").points() for name in "ab")
    assert first[..., 1].max() <= 1 < other[..., 1].max()
    # the id, and with it the seed of the points, depends on the root
    inner = config(tmp_path / "a" / "in", **whole).build("train")
    fresh = config(tmp_path / "a" / "in", cache=tmp_path / "fresh", **whole).build("train")
    assert torch.equal(inner.points(), fresh.points())
    assert not torch.equal(inner.points(), first)


@pytest.mark.parametrize("count", [2, 20])  # 20: from another process
def test_a_cache_that_cannot_be_written_is_named(tmp_path, write_mesh, count):
    for index in range(count):
        write_mesh(tmp_path / "in" / f"m{index:02d}.off")
    (tmp_path / "cache").touch()
    with pytest.raises(ValueError, match=r"cache.*\.npy: cannot be written \(Not a directory\)"):
        config(tmp_path / "in", splits=(1, 0, 0), cache=tmp_path / "cache").build("train")


def test_too_few_meshes_to_divide(tmp_path, write_mesh):
    write_mesh(tmp_path / "one" / "m.off")
    assert config(tmp_path / "one").build("train").ids == ["m"]
    few = r"one: too few meshes for a val split \(1 found, at least 3 wanted\)$"
    with pytest.raises(ValueError, match=few):
        config(tmp_path / "one").build("val")
    with pytest.raises(ValueError, match=r"data\.splits: expected a val split, got the fraction 0"):
        config(tmp_path / "one", splits=(1, 0, 0)).build("val")


@pytest.mark.parametrize("key", ["root", "cache"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(tmp_path, key, value):
    with pytest.raises(
        ValueError, match=rf"(?s){key}.*expected the path of a folder, got '{value}'"
    ):
        config(**{"root": tmp_path, key: value})
    assert config(".").root == config("./").root


def test_many_meshes_are_sampled_as_few_are(tmp_path, write_mesh):
    for index in range(20):
        write_mesh(tmp_path / f"m{index:02d}.off", height=1 + index)
    seen = []
    many = config(tmp_path, splits=(1, 0, 0), cache=tmp_path / "a").build(
        "train", progress=lambda *state: seen.append(state)
    )
    assert seen == [(done, 20) for done in range(1, 21)]
    few = {}
    for index in range(20):  # one by one, so that no second process starts
        write_mesh(tmp_path / "one" / f"m{index:02d}.off", height=1 + index)
        alone = config(tmp_path / "one", splits=(1, 0, 0), cache=tmp_path / "b").build("train")
        few |= {item.id: item.target for item in alone}
    assert all(torch.equal(item.target, few[item.id]) for item in many)


def test_shapenet_version_2_follows_its_table(tmp_path, write_mesh):
    rows = ["id,synsetId,subSynsetId,modelId,split"]
    for synset, name, split in [
        ("02691156", "p", "train"), ("02691156", "q", "test"),
        ("03001627", "r", "train"), ("03001627", "s", "val"),
    ]:  # fmt: skip
        write_mesh(tmp_path / synset / name / "models" / "model_normalized.obj")
        rows.append(f"0,{synset},{synset},{name},{split}")
    (tmp_path / "all.csv").write_text("\n".join([*rows, "0,03001627,03001627,gone,train"]))
    data = config(tmp_path).build("train")
    assert data.categories == ("airplane", "chair")
    assert [(item.id, item.label) for item in data] == [("p", 0), ("r", 1)]
    assert config(tmp_path, categories="chair").build("val").ids == ["s"]
    with pytest.raises(ValueError, match="meshes of 02691156 in split val, found none"):
        config(tmp_path).build("val")
    write_mesh(tmp_path / "02691156" / "stray" / "models" / "model_normalized.obj")
    with pytest.warns(UserWarning, match=r"1 shapes left out that all.csv does not list.*stray"):
        assert config(tmp_path).build("train").ids == ["p", "r"]
    (tmp_path / "all.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"all\.csv: expected columns modelId and split"):
        config(tmp_path).build("train")


def test_shapenet_version_1_is_divided_by_hash(tmp_path, write_mesh):
    for index in range(6):
        write_mesh(tmp_path / "02958343" / f"m{index}" / "model.obj")
    found = ids(config(tmp_path, categories="car"))
    assert sorted(itertools.chain(*found.values())) == [f"m{index}" for index in range(6)]
    (tmp_path / "02958343" / "hollow").mkdir()
    with pytest.raises(ValueError, match=r"02958343.hollow"):
        ids(config(tmp_path))


def test_modelnet_has_no_val(tmp_path, write_mesh):
    write_mesh(tmp_path / "bed" / "train" / "bed_0001.off")
    write_mesh(tmp_path / "bed" / "test" / "bed_0002.off")
    write_mesh(tmp_path / "toilet" / "train" / "toilet_0001.off")
    write_mesh(tmp_path / "toilet" / "test" / "toilet_0002.off")
    assert config(tmp_path).build("train").ids == ["bed_0001", "toilet_0001"]
    with pytest.raises(ValueError, match=r"bed.val: no such split; .*: train, test; val_split"):
        config(tmp_path).build("val")
    assert config(tmp_path, val_split="test", categories="bed").build("val").ids == ["bed_0002"]


def test_equal_names_with_other_endings_stay_apart(tmp_path, write_mesh):
    write_mesh(tmp_path / "a.off")
    write_mesh(tmp_path / "a.obj")
    write_mesh(tmp_path / "b.off")
    write_mesh(tmp_path / ".hidden" / "c.off")
    assert config(tmp_path, splits=(1, 0, 0)).build("train").ids == ["a.obj", "a.off", "b"]


@pytest.mark.parametrize(
    "text",
    ["OFF\n", "nonsense", "OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", "OFF\n1 0 0\n1 2 3\n"],
)
def test_a_bad_mesh_is_named_or_left_out(folder, text):
    (folder / "bad.off").write_text(text)
    whole = {"splits": (1, 0, 0)}
    with pytest.raises(ValueError, match=r"bad\.off"):
        config(folder, **whole).build("train")
    with pytest.warns(UserWarning, match=r"1 of 13 shapes left out; the first: .*bad\.off"):
        data = config(folder, on_error="skip", **whole).build("train")
    assert "bad" not in data.ids
    assert len(data.points()) == 12


def test_missing_things_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"^data\.root: expected a folder with meshes .*nowhere"):
        config(tmp_path / "nowhere").build("train")
    (tmp_path / "x.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"expected meshes \(.ply.*found x.npy"):
        config(tmp_path).build("train")
    with pytest.raises(ValueError, match=r"^data\.points_per_shape: expected at least 60.*got 50"):
        config(tmp_path, points_per_shape=50).build("train")
    with pytest.raises(ValueError, match="fractions that add up to 1"):
        config(tmp_path, splits=(0.5, 0.1, 0.1))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.9, 0.1, 0.0), (1.0, 0.0, 0.0)])
def test_no_split_stays_empty_without_need(count, fractions):
    sizes = Counter(hash_splits([f"m{i}" for i in range(count)], fractions, seed=0))
    assert sizes.total() == count
    assert sizes["train"] > 0
    for split, fraction in zip(("train", "val", "test"), fractions, strict=True):
        assert (sizes[split] > 0) == (fraction > 0) or count < 3
        assert count < 1000 or abs(sizes[split] / count - fraction) < 0.04


def test_shapes_stay_in_their_split_when_others_come():
    names = [f"m{i}" for i in range(500)]
    before = hash_splits(names[:400], (0.8, 0.1, 0.1), seed=0)
    assert hash_splits(names, (0.8, 0.1, 0.1), seed=0)[:400] == before
