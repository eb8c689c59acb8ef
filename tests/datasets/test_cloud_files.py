import numpy as np
import pytest

from pointgen.datasets import CloudFilesConfig
from pointgen.datasets.check import check
from pointgen.datasets.detect import splits_of
from pointgen.files import write_clouds


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for ending, count in ((".ply", 6), (".xyz", 3)):
        clouds = [rng.normal(size=(30, 3)).astype(np.float32) for _ in range(count)]
        ids = [f"{ending[1:]}{place}" for place in range(count)]
        write_clouds(tmp_path / "clouds" / f"shape{ending}", clouds, ids=ids)
    np.save(tmp_path / "clouds" / "single.npy", rng.normal(size=(45, 3)))
    return tmp_path / "clouds"


def test_every_cloud_is_in_one_split(folder):
    config = CloudFilesConfig(root=folder, num_points=8, splits=(0.5, 0.25, 0.25))
    assert splits_of(config) == ["train", "val", "test"]
    ids = [set(config.build(split).ids) for split in splits_of(config)]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 10
    assert all(ids)


def test_clouds_of_unequal_size_are_drawn_alike(folder):
    data = CloudFilesConfig(root=folder, num_points=8, splits=(1, 0, 0)).build("train")
    assert data.categories == ("clouds",) and len(data) == 10
    assert {tuple(item.points.shape) for item in data} == {(8, 3)}


def test_pools_are_alike_where_points_are_sorted_and_always_the_same(tmp_path):
    along = np.linspace(0, 1, 3000)
    write_clouds(tmp_path / "c.npy", np.stack([along, along, along], axis=1))
    config = CloudFilesConfig(root=tmp_path, num_points=1000, normalize="none")
    first, second = config.source("train").pools(0)
    assert len(first) == 2000 and set(first[:, 0]).isdisjoint(second[:, 0])
    for pool in (first, second):  # four standard errors of a mean of uniform draws
        assert abs(pool[:, 0].mean() - 0.5) < 4 / np.sqrt(12 * len(pool))
    write_clouds(tmp_path / "another.npy", np.ones((3000, 3)))
    again = CloudFilesConfig(root=tmp_path, num_points=1, splits=(1, 0, 0)).source("train")
    np.testing.assert_array_equal(again.pools(again.ids.index("c"))[0], first)


def test_one_file_of_clouds_is_a_data_set(tmp_path):
    clouds = np.random.default_rng(0).normal(size=(9, 30, 3)).astype(np.float32)
    write_clouds(tmp_path / "c.npz", clouds, ids=[f"c{place}" for place in range(9)])
    config = CloudFilesConfig(root=tmp_path / "c.npz", num_points=8)
    assert sum(len(config.build(split)) for split in splits_of(config)) == 9
    report = check(config)
    assert (report.examined, report.points) == (9, {30: 9})
    assert [finding for finding in report.findings if finding.severity == "error"] == []


def test_files_that_changed_are_read_again(folder):
    config = CloudFilesConfig(root=folder, num_points=8, splits=(1, 0, 0), normalize="none")
    before = config.build("train")
    np.save(folder / "single.npy", np.full((45, 3), 7.0))  # as many bytes
    write_clouds(folder / "new.ply", np.ones((30, 3)))
    after = config.build("train")
    assert len(after) == len(before) + 1
    (item,) = (item for item in after if item.id == "single")
    assert (item.points == 7).all()


def test_a_relative_root_is_that_of_the_folder_one_is_in(tmp_path, monkeypatch):
    for name, value in (("one", 1.0), ("two", 2.0)):
        write_clouds(tmp_path / name / "c" / "a.ply", np.full((30, 3), value))
    config = CloudFilesConfig(root="c", num_points=8, normalize="none")
    for name, value in (("one", 1.0), ("two", 2.0)):
        monkeypatch.chdir(tmp_path / name)
        assert (config.build("train")[0].points == value).all()


def test_a_folder_without_clouds_is_one_error(tmp_path):
    with pytest.raises(ValueError, match="no point files"):
        CloudFilesConfig(root=tmp_path).build("train")
    for use in (splits_of, check, lambda config: config.build("train")):
        with pytest.raises(ValueError, match=r"expected clouds at .*, found nothing"):
            use(CloudFilesConfig(root=tmp_path / "nowhere"))
    np.save(tmp_path / "one.npy", np.zeros((30, 3)))
    with pytest.raises(ValueError, match="too few clouds for a test split"):
        CloudFilesConfig(root=tmp_path, num_points=8).build("test")


@pytest.mark.parametrize("splits", [(0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (1.2, -0.2, 0.0)])
def test_fractions_that_are_none_are_refused(splits):
    with pytest.raises(ValueError, match="fractions that add up to 1, of train above 0"):
        CloudFilesConfig(root="clouds", splits=splits)


def spoil(folder, kind):
    match kind:
        case "few":
            write_clouds(folder / "bad.ply", np.ones((23, 3)))
        case "nan":
            np.save(folder / "bad.npy", np.full((30, 3), np.nan))
        case "header":
            (folder / "bad.ply").write_text("no header")
        case "gone":
            (folder / "bad.npy").symlink_to(folder / "nowhere.npy")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("few", "24 points.*got 23; pools"),
        ("nan", "30 of 30"),
        ("header", "expected a PLY"),
        ("gone", "no such file"),
    ],
)
def test_what_cannot_be_used_is_named_or_left_out_with_a_count(folder, kind, said):
    spoil(folder, kind)
    config = CloudFilesConfig(root=folder, num_points=8, splits=(1, 0, 0))
    with pytest.raises(ValueError, match=rf"bad\..*{said}"):
        config.build("train")
    skipping = config.model_copy(update={"on_error": "skip"})
    with pytest.warns(UserWarning, match=r"1 of 11 shapes left out; the first: .*bad\."):
        data = skipping.build("train")
    assert len(data.points()) == 10 and "bad" not in data.ids


def test_a_bad_file_is_no_matter_of_another_split(folder):
    spoil(folder, "nan")
    config = CloudFilesConfig(root=folder, num_points=8, splits=(0.5, 0.25, 0.25))
    refused = 0
    for split in splits_of(config):
        try:
            config.build(split)
        except ValueError:
            refused += 1
    assert refused == 1


def test_nothing_left_is_an_error(tmp_path):
    spoil(tmp_path, "nan")
    with pytest.raises(ValueError, match=r"bad\.npy"):
        CloudFilesConfig(root=tmp_path, num_points=8, on_error="skip").build("train")


def test_all_points_serve_both_pools_where_they_are_to_be_shared(folder):
    """The folder has clouds of 30 points, and one of 45."""
    common = {"root": folder, "splits": (1, 0, 0), "normalize": "none"}
    for count, shared in ((10, False), (11, True), (30, True)):
        source = CloudFilesConfig(**common, num_points=count, pools="auto").source("train")
        first, second = source.pools(0)
        assert (first is second) == shared and len(first) == (30 if shared else 20)
    with pytest.raises(ValueError, match="at least num_points = 31 points, got 30"):
        CloudFilesConfig(**common, num_points=31, pools="shared").build("train")
    data = CloudFilesConfig(**common, num_points=30, pools="shared").build("train")
    item = data.draw(0, np.random.default_rng(0))
    assert sorted(map(tuple, item.points.tolist())) == sorted(map(tuple, item.target.tolist()))


def test_the_doctor_looks_past_clouds_with_too_few_points(folder):
    spoil(folder, "few")
    config = CloudFilesConfig(root=folder, num_points=8)
    for pools, found in (("disjoint", True), ("shared", False)):
        report = check(config.model_copy(update={"pools": pools}), num_points=8)
        assert report.examined == 11
        assert ("too few points" in {each.kind for each in report.findings}) == found
