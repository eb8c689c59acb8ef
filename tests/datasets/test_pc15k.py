import numpy as np
import pytest

from pointgen.datasets import Pc15kConfig
from pointgen.datasets.synsets import SYNSETS


@pytest.fixture
def shapenet(tmp_path, write_cloud):
    """Two airplanes and a chair for training, one airplane each for val and test."""
    for split, ids in {"train": ["b", "a"], "val": ["c"], "test": ["d"]}.items():
        for name in ids:
            write_cloud(tmp_path / "02691156" / split / f"{name}.npy", seed=ord(name))
    write_cloud(tmp_path / "03001627" / "train" / "e.npy", seed=5)
    return tmp_path


def config(root, **settings):
    return Pc15kConfig(root=root, num_points=10, normalize="none", **settings)


def test_the_table_has_the_55_categories():
    assert len(SYNSETS) == len(set(SYNSETS.values())) == 55
    assert SYNSETS["02691156"] == "airplane"


@pytest.mark.parametrize("name", ["airplane", "02691156", ["airplane"]])
def test_a_category_goes_by_name_or_synset(shapenet, name):
    data = config(shapenet, categories=name).build("train")
    assert data.categories == ("airplane",)
    assert data.ids == ["a", "b"]  # in order, however the folder lists them


def test_all_categories_in_order(shapenet):
    data = config(shapenet).build("train")
    assert data.categories == ("airplane", "chair")
    assert [(item.id, item.label) for item in data] == [("a", 0), ("b", 0), ("e", 1)]
    assert config(shapenet, categories=["chair", "airplane"]).build("train").ids == ["e", "a", "b"]


@pytest.mark.parametrize(("count", "cut"), [(15_000, 10_000), (60, 40), (31, 20)])
def test_pools_are_the_first_two_thirds_and_the_rest(tmp_path, write_cloud, count, cut):
    points = write_cloud(tmp_path / "thing" / "test" / "x.npy", count=count)
    item = config(tmp_path).build("test")[0]
    np.testing.assert_array_equal(item.points, points[:10])
    np.testing.assert_array_equal(item.target, points[cut : cut + 10])


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<i4"])
def test_other_number_types_are_read(tmp_path, dtype):
    (tmp_path / "thing" / "test").mkdir(parents=True)
    points = np.arange(90).reshape(30, 3)
    np.save(tmp_path / "thing" / "test" / "x.npy", np.asfortranarray(points.astype(dtype)))
    np.testing.assert_array_equal(config(tmp_path).build("test")[0].points, points[:10])


def test_a_root_may_be_the_category_itself(shapenet):
    data = config(shapenet / "02691156").build("val")
    assert (data.categories, data.ids) == (("airplane",), ["c"])


def test_another_split_can_stand_in_for_val(tmp_path, write_cloud):
    write_cloud(tmp_path / "sofa" / "train" / "a.npy")
    write_cloud(tmp_path / "sofa" / "test" / "b.npy")
    with pytest.raises(ValueError, match=r"sofa.val: no such split.*train, test; val_split can"):
        config(tmp_path).build("val")
    assert config(tmp_path, val_split="test").build("val").ids == ["b"]
    assert config(tmp_path, val_split="test").build("train").ids == ["a"]


def test_missing_things_are_named(shapenet, tmp_path):
    with pytest.raises(
        ValueError, match=r"^data\.root: expected a folder with <synset .*nowhere, found"
    ):
        config(tmp_path / "nowhere").build("train")
    with pytest.raises(
        ValueError, match=r"^data\.categories: no boat in .*; found there: airplane, chair"
    ):
        config(shapenet, categories="boat").build("train")
    with pytest.raises(
        ValueError, match=r"^data\.categories: expected each once, got chair, 03001627"
    ):
        config(shapenet, categories=["chair", "03001627"]).build("train")
    with pytest.raises(ValueError, match=r"03001627.test: no such split.*: train$"):
        config(shapenet).build("test")
    with pytest.raises(ValueError, match="expected the path of a folder, got ''"):
        config("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"\{train,val,test\}/<id>.npy in .*empty, found nothing"):
        config(tmp_path / "empty").build("train")
    (tmp_path / "empty" / "x" / "train").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"expected <id>.npy files, found nothing"):
        config(tmp_path / "empty").build("train")


def spoil(path, kind):
    points = np.random.default_rng(0).normal(size=(60, 3))
    if kind == "nan":
        points[7, 1] = np.nan
    if kind == "huge":
        points[3] = 1e300
    if kind == "few":
        points = points[:29]
    if kind == "wide":
        points = np.ones((60, 4))
    if kind == "flat":
        points = points.reshape(-1)
    if kind == "words":
        points = np.full((60, 3), "x")
    if kind == "objects":
        points = points.astype(object)
    np.save(path, points)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:200])
    if kind == "text":
        path.write_text("1 2 3\n")
    if kind == "nothing":
        path.write_bytes(b"")
    if kind == "archive":
        with path.open("wb") as file:
            np.savez(file, points=points)


KINDS = {
    "nan": "expected finite points, got 1 of 60",
    "huge": "expected finite points, got 1 of 60",
    "few": "expected at least 30 points.*num_points = 10, got 29",
    "wide": r"expected \(n, 3\) numbers, got \(60, 4\)",
    "flat": r"expected \(n, 3\) numbers, got \(180,\)",
    "words": r"expected \(n, 3\) numbers, got \(60, 3\) of <U1",
    "objects": "cannot be read as npy",
    "cut": "cannot be read as npy",
    "text": "cannot be read as npy",
    "nothing": "is empty",
    "archive": "expected an .npy file of points, got an archive",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_named(shapenet, kind):
    spoil(shapenet / "02691156" / "train" / "b.npy", kind)
    with pytest.raises(ValueError, match=r"02691156.train.b\.npy: " + KINDS[kind]):
        config(shapenet).build("train").points()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_left_out_with_a_count(shapenet, kind):
    spoil(shapenet / "02691156" / "train" / "b.npy", kind)
    with pytest.warns(UserWarning, match=r"1 of 3 shapes left out; the first: .*b\.npy: "):
        data = config(shapenet, on_error="skip").build("train")
    assert [(item.id, item.label) for item in data] == [("a", 0), ("e", 1)]


@pytest.mark.parametrize(("pools", "count"), [("shared", 20), ("auto", 21), ("auto", 60)])
def test_all_points_serve_both_pools_where_they_are_to_be_shared(shapenet, pools, count):
    source = config(shapenet, pools=pools).model_copy(update={"num_points": count}).source("train")
    first, second = source.pools(0)
    assert first is second and len(first) == 60
    source = config(shapenet, pools="auto").source("train")
    assert [len(pool) for pool in source.pools(0)] == [40, 20]


def test_one_small_shape_is_no_reason_for_all_to_share(shapenet):
    spoil(shapenet / "02691156" / "train" / "b.npy", "few")
    auto = config(shapenet, pools="auto")
    few = auto.model_copy(update={"num_points": 30, "on_error": "skip"})
    with pytest.warns(UserWarning, match="1 of 3 shapes left out"):
        assert len(few.source("train").pools(0)[0]) == 60
    first, second = auto.source("train").pools(1)  # 29 points hold no three times 10
    assert first is second and len(first) == 29


def test_headers_are_checked_before_anything_is_trained(shapenet):
    spoil(shapenet / "02691156" / "train" / "b.npy", "few")
    with pytest.raises(ValueError, match="got 29"):
        config(shapenet).build("train")


def test_nothing_left_is_an_error(shapenet):
    spoil(shapenet / "03001627" / "train" / "e.npy", "nan")
    with pytest.raises(ValueError, match=r"e\.npy"):
        config(shapenet, categories="chair", on_error="skip").build("train")
