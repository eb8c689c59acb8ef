import json
import multiprocessing
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import trimesh
from torch.utils.data import DataLoader

from pointgen.batch import collate
from pointgen.datasets import Hdf5Config, MeshesConfig, Pc15kConfig, ProceduralConfig
from pointgen.datasets.pack import pack
from pointgen.datasets.pack_parts import SHAPES
from pointgen.datasets.pack_reading import SourceReader
from pointgen.geometry.sampling import normals_at, spots_on, values_at

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def pc15k(tmp_path, write_cloud):
    """Two categories, more shapes than a part holds, of several sizes."""
    root = tmp_path / "pc15k"
    for number in range(2 * SHAPES + 5):
        count = (60, 3000, 100)[number % 3]
        write_cloud(root / "02691156" / "train" / f"{number:03d}.npy", count, seed=number)
    for split in ("train", "test"):
        write_cloud(root / "03001627" / split / "x.npy", 90, seed=1000)
    write_cloud(root / "02691156" / "test" / "y.npy", 90, seed=1001)
    return Pc15kConfig(root=root, num_points=10)


@pytest.fixture
def meshes(tmp_path, write_mesh):
    for number in range(20):
        write_mesh(tmp_path / "meshes" / f"box{number}.obj", height=1 + number)
    return MeshesConfig(root=tmp_path / "meshes", num_points=10, points_per_shape=3000)


def same(first, second):
    """Whether two items are equal to the last bit."""
    return (
        (first.id, first.label) == (second.id, second.label)
        and torch.equal(first.points, second.points)
        and torch.equal(first.target, second.target)
    )


def packed(config, path):
    """The config of a packed file with the settings of its source."""
    return Hdf5Config(path=path, num_points=config.num_points, normalize=config.normalize)


def assert_trains_the_same(config, path, split):
    source, file = config.build(split), packed(config, path).build(split)
    assert source.categories == file.categories and list(source.ids) == file.ids
    for index in range(len(source)):
        assert same(source[index], file[index])
        draws = [data.draw(index, np.random.default_rng(index)) for data in (source, file)]
        assert same(*draws)
    np.testing.assert_array_equal(source.standardization().std, file.standardization().std)


@pytest.mark.parametrize("kind", ["pc15k", "meshes", "procedural", "hdf5"])
def test_training_from_the_packed_file_sees_the_same(kind, request, tmp_path):
    if kind == "procedural":
        config = ProceduralConfig(
            categories=("chair", "sphere"), size=3, val_size=1, test_size=1, num_points=20
        )
    elif kind == "hdf5":
        with h5py.File(tmp_path / "train0.h5", "w") as file:
            file["data"] = np.random.default_rng(0).normal(size=(5, 30, 3))
        config = Hdf5Config(path=tmp_path / "train0.h5", num_points=20)  # so its pools are shared
    else:
        config = request.getfixturevalue(kind)
    out = tmp_path / "packed.h5"
    result = pack(config, out)
    assert list(result.splits) == {"pc15k": ["train", "test"], "hdf5": ["train"]}.get(
        kind, ["train", "val", "test"]
    )
    for split in result.splits:
        assert_trains_the_same(config, out, split)


def test_workers_read_the_packed_file(pc15k, tmp_path):
    pack(pc15k, tmp_path / "packed.h5")
    data = packed(pc15k, tmp_path / "packed.h5").build("train")
    loader = DataLoader(data, batch_size=8, collate_fn=collate, num_workers=2)
    points = torch.cat([batch.points for batch in loader])
    assert torch.equal(points, torch.stack([item.points for item in pc15k.build("train")]))


def test_a_mesh_is_packed_with_its_normals_and_nothing_is_cached(meshes, tmp_path, user_cache):
    pack(meshes, tmp_path / "packed.h5", splits=["train"])
    assert not user_cache.exists()
    source = packed(meshes, tmp_path / "packed.h5").source("train")
    for index, name in enumerate(source.ids):
        height = 1 + int(name.removeprefix("box"))
        points, normals = np.concatenate(source.pools(index)), source.normals(index)
        # a box from 0 to (1, height, 1): each point lies in the face that its normal points out of
        middle = np.array([1, height, 1]) / 2
        axis = np.abs(normals).argmax(axis=1)[:, None]
        outward = np.take_along_axis(points - middle, axis, 1)
        np.testing.assert_allclose(np.abs(outward), middle[axis], rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-6)


def test_normals_belong_to_the_points():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    spots = spots_on(sphere.vertices, sphere.faces, 2000, np.random.default_rng(3))
    points, normals = values_at(spots, sphere.vertices), normals_at(spots, sphere.vertices)
    centres, _, faces = trimesh.proximity.closest_point_naive(sphere, points)
    np.testing.assert_allclose(centres, points, atol=1e-6)
    near = np.einsum("nc,nc->n", normals, sphere.face_normals[faces])
    assert np.mean(near > 1 - 1e-6) > 0.999  # but for points on an edge of two faces


def test_normals_of_hdf5_are_kept(tmp_path):
    shapes = np.random.default_rng(0).normal(size=(3, 30, 3)).astype(np.float32)
    with h5py.File(tmp_path / "train0.h5", "w") as file:
        file["data"], file["normal"] = shapes, -shapes
    config = Hdf5Config(path=tmp_path / "train0.h5", num_points=1)
    pack(config, tmp_path / "out" / "packed.h5")
    source = packed(config, tmp_path / "out" / "packed.h5").source("train")
    np.testing.assert_array_equal(source.normals(2), -shapes[2])


def test_the_file_says_where_it_comes_from(pc15k, tmp_path):
    result = pack(pc15k, tmp_path / "packed.h5", splits=["test"])
    with h5py.File(result.path) as file:
        assert set(file) == {"categories", "test"}
        assert file.attrs["source"] == str(pc15k.root)
        assert json.loads(file.attrs["settings"])["kind"] == "pc15k"
        assert {"pointgen", "created", "format"} <= set(file.attrs)
        assert (file["test/counts"][:] == 90).all() and (file["test/first"][:] == 60).all()
    assert result.splits["test"].points == 180
    assert result.size == result.path.stat().st_size


@pytest.mark.parametrize("kind", ["pc15k", "meshes"])
def test_a_bad_shape_stops_it_or_is_left_out(kind, request, tmp_path):
    config = request.getfixturevalue(kind)
    out = tmp_path / "packed.h5"
    name = config.build("train").ids[0]
    first = next(config.root.rglob(f"{name}.*"))
    first.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=first.name):
        pack(config, out, splits=["train"])
    assert not out.exists() and not (tmp_path / ".packed.h5.parts").exists()
    skipping = config.model_copy(update={"on_error": "skip"})
    if kind == "meshes":
        result = pack(skipping, out, splits=["train"])
        assert len(result.splits["train"].problems) == 1
        assert first.name in result.splits["train"].problems[0]
    else:
        with pytest.warns(UserWarning, match="1 of 70 shapes left out"):
            pack(skipping, out, splits=["train"])
    kept = packed(config, out).build("train")
    assert first.stem not in kept.ids
    with pytest.warns(UserWarning, match="left out"):
        assert list(skipping.build("train").ids) == kept.ids


def test_all_shapes_bad_is_an_error(meshes, tmp_path):
    for path in meshes.root.iterdir():
        path.write_text("nonsense")
    with pytest.raises(ValueError, match=r"none of the \d+ shapes of train can be used: .*\.obj: "):
        pack(meshes.model_copy(update={"on_error": "skip"}), tmp_path / "packed.h5")


def slowly(monkeypatch, seconds=0.02):
    """Make reading a shape take time, in this process and those forked from it."""
    read = SourceReader.read

    def wait_and_read(self, index):
        time.sleep(seconds)
        return read(self, index)

    monkeypatch.setattr(SourceReader, "read", wait_and_read)


def children(process):
    """The processes that a process has started."""
    return [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if stat.exists() and int(stat.read_text().rpartition(")")[2].split()[1]) == process
    ]


def is_alive(process):
    command = Path(f"/proc/{process}/cmdline")
    return command.exists() and command.read_bytes() != b""  # empty: it is dead, not yet buried


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_killed_pack_goes_on_and_gives_the_same_file(pc15k, tmp_path, monkeypatch):
    slowly(monkeypatch)
    whole, out = tmp_path / "whole.h5", tmp_path / "packed.h5"
    parts = tmp_path / ".packed.h5.parts"
    process = FORK.Process(target=pack, args=(pc15k, out))
    process.start()
    wait_for(lambda: any(parts.glob("train-*.zip")))
    workers = children(process.pid)
    process.kill()
    process.join()
    assert not out.exists()
    wait_for(lambda: not any(map(is_alive, workers)))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"something else was begun .data.num_points was 10, is 9"):
        pack(pc15k.model_copy(update={"num_points": 9}), out)
    (parts / f".{'0' * 32}.zip").write_bytes(b"torn")
    found = pack(pc15k, out).found
    assert 0 < found < 72
    assert not parts.exists()
    pack(pc15k, whole)
    with h5py.File(out) as resumed, h5py.File(whole) as straight:
        for key in ("points", "starts", "counts", "first", "labels", "ids"):
            np.testing.assert_array_equal(resumed["train"][key], straight["train"][key])


def test_a_torn_part_is_written_again(pc15k, tmp_path, monkeypatch):
    out, parts = tmp_path / "packed.h5", tmp_path / ".packed.h5.parts"
    with monkeypatch.context() as patched:
        patched.setattr("pointgen.datasets.pack.join", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(pc15k, out)
    torn = sorted(parts.glob("train-*.zip"))[1]
    torn.write_bytes(torn.read_bytes()[:1000])
    assert pack(pc15k, out).found == 72 - SHAPES
    assert_trains_the_same(pc15k, out, "train")


def stop(*arguments):
    raise KeyboardInterrupt


def test_data_that_changed_or_force_start_anew(pc15k, tmp_path, write_cloud, monkeypatch):
    out = tmp_path / "packed.h5"
    with monkeypatch.context() as patched:
        patched.setattr("pointgen.datasets.pack.join", stop)
        with pytest.raises(KeyboardInterrupt):
            pack(pc15k, out)
    write_cloud(pc15k.root / "02691156" / "train" / "new.npy")
    with pytest.raises(ValueError, match=r"begun .the shapes of train differ.; --force drops"):
        pack(pc15k, out)
    assert pack(pc15k, out, force=True).found == 0
    assert_trains_the_same(pc15k, out, "train")


def test_nothing_is_overwritten_without_force(pc15k, tmp_path):
    out = tmp_path / "packed.h5"
    out.write_text("mine")
    with pytest.raises(ValueError, match=r"packed.h5: exists already; --force"):
        pack(pc15k, out)
    assert out.read_text() == "mine"
    pack(pc15k, out, force=True)
    with pytest.raises(ValueError, match=r"expected the ending \.h5 or \.hdf5"):
        pack(pc15k, tmp_path / "packed.npy")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(ValueError, match="got a folder"):
        pack(pc15k, tmp_path / "folder.h5", force=True)
    with pytest.raises(ValueError, match=r"val: no such split"):
        pack(pc15k, tmp_path / "other.h5", splits=["val"])


def attempt(config, out, answers):
    try:
        pack(config, out)
        answers.put("done")
    except ValueError as error:
        answers.put(str(error))


def test_two_at_once_do_not_meet(pc15k, tmp_path, monkeypatch):
    pytest.importorskip("fcntl")
    slowly(monkeypatch, 0.01)
    answers = FORK.Queue()
    both = [
        FORK.Process(target=attempt, args=(pc15k, tmp_path / "packed.h5", answers)) for _ in "ab"
    ]
    for process in both:
        process.start()
    said = sorted(answers.get(timeout=60) for _ in both)
    for process in both:
        process.join()
    assert said[1] == "done" or said[0] == "done"
    assert sum("by another process" in answer for answer in said) == 1
    monkeypatch.undo()
    assert_trains_the_same(pc15k, tmp_path / "packed.h5", "train")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("starts", [0, 10**12], "do not fit the 2048 rows"),
        ("counts", [90, 2000], "do not fit the 2048 rows"),
        ("counts", [90], r"/test/counts: expected \(2,\) integers, got \(1,\)"),
        ("first", [0, 60], "do not fit the 2048 rows"),
        ("first", [91, 60], "do not fit the 2048 rows"),
        ("labels", [0, 2], "test/labels is outside the 2 categories"),
        ("labels", [-1, 0], "test/labels is outside the 2 categories"),
        ("ids", [1, 2], r"/test/ids: expected \(n,\) text, got"),
        ("ids", [b"\xff", b"a"], "cannot be read as HDF5: 'utf-8' codec"),
        ("points", np.zeros((2048, 2)), r"/test/points: expected \(T, 3\) numbers"),
        ("normals", np.zeros((9, 3)), r"/test/normals: expected \(2048, 3\) numbers"),
    ],
)
def test_a_damaged_packed_file_is_named(pc15k, tmp_path, key, value, message):
    out = tmp_path / "packed.h5"
    pack(pc15k, out, splits=["test"])
    with h5py.File(out, "a") as file:
        if key in file["test"]:
            del file["test"][key]
        file["test"][key] = np.asarray(value)
    with pytest.raises(ValueError, match=r"packed.h5: .*" + message):
        packed(pc15k, out).build("test")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="nobody is refused")
def test_a_folder_that_cannot_be_written_is_named(pc15k, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ValueError, match=r"packed.h5: cannot be written"):
        pack(pc15k, tmp_path / "closed" / "packed.h5")
