import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pointgen.batch import collate
from pointgen.datasets import Hdf5Config
from pointgen.datasets.hdf5_files import MOST_OPEN, Handles

SHAPES = np.random.default_rng(0).normal(size=(40, 30, 3)).astype(np.float32)


def write(path, **datasets):
    """Write an HDF5 file of these datasets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in datasets.items():
            file[key] = value


def modelnet(root):
    """As modelnet40_ply_hdf5_2048: training files listed out of order, names in one table."""
    for number, part in enumerate((slice(0, 3), slice(3, 5))):
        labels = np.array([[2], [0], [2], [1], [0]], dtype=np.uint8)[part]
        write(root / f"ply_data_train{number}.h5", data=SHAPES[part], label=labels,
              normal=-SHAPES[part], faceId=np.zeros((len(labels), 30), np.int32))  # fmt: skip
    write(root / "ply_data_test0.h5", data=SHAPES[5:7], label=np.array([[1], [1]], np.uint8))
    (root / "shape_names.txt").write_text("airplane\nbathtub\nbed\n")
    ids = ["bed/bed_1.ply", "airplane/a_1.ply", "bed/bed_2.ply"]
    (root / "ply_data_train_0_id2file.json").write_text(json.dumps(ids))
    return root


def antao(root):
    """As shapenetcorev2_hdf5_2048: eleven training files of one shape each, names for each."""
    for number in range(11):
        write(root / f"train{number}.h5", data=SHAPES[number : number + 1],
              label=np.array([[7 if number % 2 else 4]], np.int32))  # fmt: skip
        name = "chair" if number % 2 else "bench"
        (root / f"train{number}_id2name.json").write_text(json.dumps([name]))
        (root / f"train{number}_id2file.json").write_text(json.dumps([f"{number}/m{number}.txt"]))
    for split, row in (("val", 11), ("test", 12)):
        write(root / f"{split}0.h5", data=SHAPES[row : row + 1], label=np.array([[7]], np.int32))
        (root / f"{split}0_id2name.json").write_text('["chair"]')
    return root


def dpm(root):
    """As DPM's shapenet.hdf5."""
    root.mkdir(exist_ok=True)
    with h5py.File(root / "shapenet.hdf5", "w") as file:
        for synset, start in (("03001627", 20), ("02691156", 30)):
            for split, (first, last) in {"train": (0, 3), "val": (3, 4), "test": (4, 6)}.items():
                file[f"{synset}/{split}"] = SHAPES[start + first : start + last]
    return root / "shapenet.hdf5"


def config(path, **settings):
    return Hdf5Config(path=path, **{"num_points": 10, "normalize": "none"} | settings)


def loaded(data, workers=2, context="fork"):
    """All fixed items, through workers."""
    loader = DataLoader(data, batch_size=2, collate_fn=collate, num_workers=workers,
                        multiprocessing_context=context if workers else None)  # fmt: skip
    batches = list(loader)
    return torch.cat([b.points for b in batches]), torch.cat([b.label for b in batches])


def test_modelnet_comes_back(tmp_path):
    data = config(modelnet(tmp_path)).build("train")
    assert data.categories == ("airplane", "bathtub", "bed")
    # by category, in it as in the files; no ids are there for the second file
    assert data.ids == ["airplane/a_1", "ply_data_train1_00001", "ply_data_train1_00000",
                        "bed/bed_1", "bed/bed_2"]  # fmt: skip
    points, labels = loaded(data)
    assert labels.tolist() == [0, 0, 1, 2, 2]
    np.testing.assert_array_equal(points, SHAPES[[1, 4, 3, 0, 2], :10])
    np.testing.assert_array_equal(data.points(), SHAPES[[1, 4, 3, 0, 2], 20:])
    source = config(tmp_path).source("train")
    np.testing.assert_array_equal(source.normals(1), -SHAPES[4])
    assert config(tmp_path).source("test").normals(0) is None


def test_the_lists_of_modelnet_choose_files_by_name(tmp_path):
    modelnet(tmp_path)
    (tmp_path / "train_files.txt").write_text("data/elsewhere/ply_data_train1.h5\n")
    assert len(config(tmp_path).build("train")) == 2
    (tmp_path / "train_files.txt").write_text("data/elsewhere/ply_data_train9.h5\n")
    with pytest.raises(ValueError, match=r"train_files.txt: lists .'ply_data_train9.h5'., which"):
        config(tmp_path).build("train")


def test_antao_comes_back_in_the_order_of_the_numbers(tmp_path):
    data = config(antao(tmp_path)).build("train")
    assert data.categories == ("bench", "chair")
    assert data.ids == [f"{n}/m{n}" for n in (0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9)]
    points, labels = loaded(data)
    np.testing.assert_array_equal(points, SHAPES[[0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9], :10])
    assert labels.tolist() == [0] * 6 + [1] * 5
    # bench is label 0 in every split, whether it is there or not
    val = config(tmp_path).build("val")
    assert (val.categories, [item.label for item in val]) == (("bench", "chair"), [1])


def test_dpm_comes_back(tmp_path):
    data = config(dpm(tmp_path)).build("train")
    assert data.categories == ("airplane", "chair")
    points, labels = loaded(data)
    np.testing.assert_array_equal(points, SHAPES[[30, 31, 32, 20, 21, 22], :10])
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.ids[4] == "03001627_train_00001"
    assert [len(config(tmp_path).build(split)) for split in ("val", "test")] == [2, 4]


@pytest.mark.parametrize("name", ["chair", "03001627"])
def test_a_category_goes_by_name_or_synset(tmp_path, name):
    data = config(dpm(tmp_path), categories=name).build("test")
    assert data.categories == ("chair",)
    np.testing.assert_array_equal(torch.stack([item.points for item in data]), SHAPES[24:26, :10])
    both = config(tmp_path, categories=["chair", "airplane"]).build("test")
    assert [item.label for item in both] == [0, 0, 1, 1]


def test_a_file_of_data_alone_is_one_category(tmp_path):
    write(tmp_path / "mine" / "train.h5", data=SHAPES[:2])
    data = config(tmp_path / "mine" / "train.h5").build("train")
    assert (data.categories, data.ids) == (("mine",), ["train_00000", "train_00001"])


def test_labels_without_names_are_names(tmp_path):
    write(tmp_path / "train0.h5", data=SHAPES[:2], label=np.array([10, 9]))
    write(tmp_path / "train1.h5", data=SHAPES[2:4], label=np.array([2, 9]))
    data = config(tmp_path).build("train")
    assert data.categories == ("2", "9", "10")
    assert [item.label for item in data] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("pools", "num_points", "disjoint"),
    [("auto", 10, True), ("auto", 11, False), ("auto", 30, False), ("shared", 10, False)],
)
def test_pools_are_disjoint_where_there_is_enough(tmp_path, pools, num_points, disjoint):
    source = config(dpm(tmp_path), pools=pools, num_points=num_points).source("train")
    first, second = source.pools(0)
    np.testing.assert_array_equal(first, SHAPES[30][:20] if disjoint else SHAPES[30])
    np.testing.assert_array_equal(second, SHAPES[30][20:] if disjoint else SHAPES[30])


def test_draws_from_shared_pools_are_independent_subsets(tmp_path):
    data = config(dpm(tmp_path), num_points=20).build("train")
    item = data.draw(0, np.random.default_rng(0))
    whole = {tuple(point) for point in SHAPES[30]}
    one, other = ({tuple(p) for p in cloud.numpy()} for cloud in (item.points, item.target))
    assert len(one) == len(other) == 20 and one < whole and other < whole
    assert 10 <= len(one & other) < 20  # of 30 points two times 20 share at least 10
    full = config(tmp_path, num_points=30).build("train").draw(0, np.random.default_rng(0))
    assert not torch.equal(full.points, full.target)


def test_too_many_points_are_refused_with_the_most_there_can_be(tmp_path):
    dpm(tmp_path)
    with pytest.raises(ValueError, match=r"num_points = 31, got 30; for all shapes it can be 30 "):
        config(tmp_path, num_points=31).build("train")
    with pytest.raises(ValueError, match=r"num_points = 11, got 30; for all shapes it can be 10 "):
        config(tmp_path, num_points=11, pools="disjoint").build("train")


def test_another_split_can_stand_in_for_val(tmp_path):
    modelnet(tmp_path)
    assert config(tmp_path).splits() == ["train", "test"]
    with pytest.raises(ValueError, match=r"no split val; found: train, test; val_split can name"):
        config(tmp_path).build("val")
    assert config(tmp_path, val_split="test").build("val").ids[0] == "ply_data_test0_00000"
    with pytest.raises(ValueError, match="no shape of bed in split test"):
        config(tmp_path, categories="bed").build("test")


def test_missing_things_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"^data\.path: expected an HDF5 file.*nowhere, found not"):
        config(tmp_path / "nowhere").build("train")
    with pytest.raises(ValueError, match=r"^data\.path: expected an HDF5 file.*found nothing"):
        config(tmp_path).build("train")
    with pytest.raises(ValueError, match=r"no boat in .*; found there: airplane, chair"):
        config(dpm(tmp_path), categories="boat").build("train")
    write(tmp_path / "shapenet.hdf5", voxels=np.zeros((2, 8, 8, 8)))
    with pytest.raises(ValueError, match=r"shapenet.hdf5: expected data .*, found voxels"):
        config(tmp_path).build("train")


def spoil(root, kind):
    """Give a file of four shapes, labels and names one fault."""
    data, label = SHAPES[:4].copy(), np.array([[0], [1], [0], [1]])
    path = root / "train0.h5"
    (root / "shape_names.txt").write_text("a\nb\n")
    match kind:
        case "label outside":
            label[2] = 2
        case "labels too few":
            label = label[:3]
        case "labels of text":
            label = label.astype("S")
        case "flat":
            data = data.reshape(4, -1)
        case "wide":
            data = np.concatenate([data, data], axis=2)
        case "words":
            data = data.astype("S")
        case "none":
            data = data[:0]
        case "names too few":
            (root / "train0_id2file.json").write_text('["a", "b"]')
        case "names of numbers":
            (root / "train0_id2file.json").write_text("[1, 2, 3, 4]")
        case "names torn":
            (root / "train0_id2file.json").write_text('["a", "b", "c", ')
        case "names contradict":
            (root / "train0_id2name.json").write_text('["a", "a", "b", "b"]')
    write(path, data=data, label=label)
    with h5py.File(path, "a") as file:
        match kind:
            case "huge and empty":
                del file["data"]
                file.create_dataset("data", (10**12, 2048, 3), np.float32, chunks=(1, 2048, 3))
            case "bomb":
                del file["data"]
                file.create_dataset("data", data=np.zeros((3000, 2048, 3), np.float32),
                                    compression="gzip")  # fmt: skip
            case "chunks missing":
                del file["data"]
                chunks = file.create_dataset("data", (4, 30, 3), np.float32, chunks=(1, 30, 3))
                chunks[:2] = SHAPES[:2]
            case "nothing written":
                del file["data"]
                file.create_dataset("data", (4, 30, 3), np.float32)
            case "objects":
                del file["data"]
                file.create_dataset("data", (4, 30, 3), h5py.vlen_dtype(np.float32))
            case "external link" | "soft link" | "virtual" | "external data":
                del file["data"]
                write(root.parent / "secret.h5", data=SHAPES[:4])
                elsewhere(file, root.parent / "secret.h5", kind)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-500])
    if kind == "text":
        path.write_text("1 2 3\n")
    if kind == "nothing":
        path.write_bytes(b"")


def elsewhere(file, secret, kind):
    """Make `data` something that lies in another file."""
    if kind == "external link":
        file["data"] = h5py.ExternalLink(str(secret), "data")
    elif kind == "soft link":
        file["out"] = h5py.ExternalLink(str(secret), "/")
        file["data"] = h5py.SoftLink("/out/data")
    elif kind == "virtual":
        layout = h5py.VirtualLayout((4, 30, 3), np.float32)
        layout[:] = h5py.VirtualSource(str(secret), "data", (4, 30, 3))
        file.create_virtual_dataset("data", layout)
    else:
        raw = secret.with_suffix(".raw")
        raw.write_bytes(SHAPES[:4].tobytes())
        file.create_dataset("data", (4, 30, 3), np.float32,
                            external=[(str(raw), 0, h5py.h5f.UNLIMITED)])  # fmt: skip


FAULTS = {
    "label outside": r"label \[2\] is outside the 2 names of shape_names.txt",
    "labels too few": r"/label: expected \(4, 1\) integers, got \(3, 1\)",
    "labels of text": r"/label: expected \(4, 1\) integers, got \(4, 1\) of \|S",
    "flat": r"/data: expected \(n, N, 3\) numbers, got \(4, 90\)",
    "wide": r"/data: expected \(n, N, 3\) numbers, got \(4, 30, 6\)",
    "words": r"/data: expected \(n, N, 3\) numbers, got .* of \|S",
    "none": r"/data: expected \(n, N, 3\) numbers, got \(0, 30, 3\)",
    "names too few": r"_id2file.json: expected 4 names, as train0.h5 has shapes, got 2",
    "names of numbers": "_id2file.json: expected a list of names",
    "names torn": "_id2file.json: cannot be read as JSON",
    "names contradict": "contradict each other",
    "huge and empty": "announces 24576000000000000 bytes of data but stores",
    "bomb": r"announces \d+ bytes of data but stores",
    "chunks missing": "but part of it is not there",
    "nothing written": "but part of it is not there",
    "objects": r"/data: expected \(n, N, 3\) numbers, got .* of object",
    "external link": "/data is a link",
    "soft link": "/data is a link",
    "virtual": "/data is in another file",
    "external data": "/data is in another file",
    "cut": "cannot be read as HDF5",
    "text": "cannot be read as HDF5",
    "nothing": "is empty",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_file_is_named_before_any_point_is_read(tmp_path, kind):
    (tmp_path / "set").mkdir()
    spoil(tmp_path / "set", kind)
    with pytest.raises(ValueError, match=r"set.train0.*" + FAULTS[kind]):
        config(tmp_path / "set", on_error="skip").build("train")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_shape_that_is_not_finite_is_named_or_left_out(tmp_path, value):
    data = SHAPES[:4].astype(np.float64)
    data[2, 5, 1] = value
    write(tmp_path / "train0.h5", data=data)
    with pytest.raises(ValueError, match=r"train0_00002: expected finite points, got 1 of 30"):
        config(tmp_path).build("train").points()
    with pytest.warns(UserWarning, match=r"1 of 4 shapes left out; the first: .*train0_00002"):
        kept = config(tmp_path, on_error="skip").build("train")
    assert kept.ids == ["train0_00000", "train0_00001", "train0_00003"]
    np.testing.assert_array_equal(kept[2].points, data[3, :10].astype(np.float32))


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_open_the_files_themselves(tmp_path, context):
    data = config(antao(tmp_path)).build("train")
    alone, _ = loaded(data, workers=0)  # so that the files are open here
    shared, _ = loaded(data, context=context)
    assert torch.equal(alone, shared)
    assert torch.equal(pickle.loads(pickle.dumps(data))[3].points, data[3].points)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts /proc/self/fd")
def test_files_are_closed(tmp_path):
    def open_files():
        links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
        return sum(link.parent == tmp_path for link in links)

    handles = Handles(3 * MOST_OPEN)
    for number in range(2 * MOST_OPEN):
        write(tmp_path / f"part{number}.h5", data=SHAPES[:1])
        handles.read(tmp_path / f"part{number}.h5", "data", 0)
    assert open_files() == MOST_OPEN
    del handles
    assert open_files() == 0
