"""A clean data set has no findings; a set with one fault has the finding of that fault alone."""

import re

import numpy as np
import pytest

from pointgen.datasets import CloudFilesConfig, Hdf5Config, Pc15kConfig, ProceduralConfig, survey
from pointgen.datasets.check import check

SIZES = {"train": 12, "val": 8, "test": 8}
COUNT = 90


def box(seed, sides=(0.5, 0.7, 0.4), count=COUNT):
    """Points of a box with bounding-box diagonal 1 and a corner in each corner, off the origin."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3))
    points[:8] = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    sides = np.array(sides) * rng.uniform(0.95, 1.05, size=3)
    points = points * sides / np.linalg.norm(sides)
    return (points - points.mean(axis=0) + 0.1).astype(np.float32)


def write(root, category="chair", sizes=SIZES, make=box):
    paths = []
    for place, split in enumerate(sizes):
        folder = root / category / split
        folder.mkdir(parents=True)
        for index in range(sizes[split]):
            paths.append(folder / f"{category}{split}x{index}.npy")
            np.save(paths[-1], make(1000 * place + index))
    return paths


@pytest.fixture
def clean(tmp_path):
    write(tmp_path)
    return tmp_path


def found(root, **settings):
    """The kinds and severities of the findings."""
    num_points = settings.pop("num_points", None)
    report = check(Pc15kConfig(root=root, **settings), num_points=num_points)
    return {finding.kind: finding.severity for finding in report.findings}


def examples(root, kind):
    findings = check(Pc15kConfig(root=root)).findings
    return next(finding.examples for finding in findings if finding.kind == kind)


def first(root, split="train"):
    return root / "chair" / split / f"chair{split}x0.npy"


def change(path, make):
    np.save(path, make(np.load(path)))


def test_a_clean_set_has_no_findings(clean):
    report = check(Pc15kConfig(root=clean), num_points=30)
    assert report.findings == ()
    assert {str(group): count for group, count in report.shapes.items()} == {
        "chair/train": 12,
        "chair/val": 8,
        "chair/test": 8,
    }
    assert (report.examined, report.points) == (28, {COUNT: 28})
    assert {its.convention for its in report.measures.values()} == {"unit diagonal"}
    (stance,) = report.stances
    assert (stance.category, stance.up, stance.agreeing, stance.count) == ("chair", "y", 12, 12)


def test_the_built_in_shapes_have_no_findings():
    config = ProceduralConfig(categories="all", size=20, val_size=5, test_size=5, num_points=64)
    assert check(config, num_points=64).findings == ()


def stray(points):
    points[40] = 1e6
    return points


def nan(points):
    points[3, 1] = np.nan
    return points


FAULTS = {
    "not finite": (nan, "unusable", "error", "got 1 of 90 not finite"),
    "transposed": (lambda p: p.T, "unusable", "error", r"got \(3, 90\)"),
    "empty": (lambda p: p[:0], "unusable", "error", "expected 1 to .* points, got 0"),
    "stray": (stray, "stray points", "error", "1, .*times as far"),
    "one place": (lambda p: p[:1].repeat(COUNT, 0), "no size", "error", "all at "),
    "line": (lambda p: p[:, :1] * [[1, 2, 3]] / 3, "flat", "warning", "a line"),
    "plane": (lambda p: p * [[1, 0, 1]], "flat", "warning", "a plane"),
    "repeated": (lambda p: p[np.arange(COUNT) // 2], "repeated points", "warning", "45 of 90"),
    "counts": (lambda p: p[:-1], "point counts", "warning", "90 points: 27 shapes"),
    "large": (lambda p: p * 9, "odd size", "warning", "diagonal 9, of most 1"),
    "small": (lambda p: p / 9, "odd size", "warning", "diagonal 0.11"),
    "far": (lambda p: p + np.array([0, 9, 0]), "odd place", "warning", r"centred at 0\.\d+, 9\."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_shape_is_the_only_finding(clean, fault):
    make, kind, severity, says = FAULTS[fault]
    change(first(clean), make)
    assert found(clean) == {kind: severity}
    assert re.search(says, examples(clean, kind)[0])


def test_every_bad_shape_is_listed_and_none_hides_another(clean):
    for index in range(12):
        (clean / "chair" / "train" / f"chairtrainx{index}.npy").write_bytes(b"damage")
    assert found(clean) == {"unusable": "error"}
    assert len(examples(clean, "unusable")) == 12


def test_a_bad_file_among_clouds_of_ones_own_hides_no_other(tmp_path):
    for number in range(20):
        np.save(tmp_path / f"s{number}.npy", box(number))
    np.save(tmp_path / "s7.npy", nan(box(7)))
    (tmp_path / "s9.npy").write_bytes((tmp_path / "s9.npy").read_bytes()[:900])
    report = check(CloudFilesConfig(root=tmp_path))
    assert report.examined == 20
    (unusable,) = (finding for finding in report.findings if finding.kind == "unusable")
    assert {example.split(":")[0].split("/")[-1] for example in unusable.examples} == {"s7", "s9"}


def test_errors_come_before_warnings(clean):
    change(first(clean, "val"), lambda points: points * [[1, 0, 1]])
    change(first(clean, "test"), stray)
    assert list(found(clean)) == ["stray points", "flat"]
    change(first(clean, "train"), lambda points: points[:1].repeat(COUNT, 0))
    assert list(found(clean).values()) == ["error", "error", "warning"]
    first(clean, "val").write_bytes(b"")
    np.save(clean / "chair" / "test" / "chairvalx1.npy", box(77))
    assert list(found(clean).values()) == ["error", "error", "error", "error"]


def test_points_are_counted_against_the_config(clean):
    assert found(clean, num_points=COUNT // 3) == {}
    assert found(clean, num_points=COUNT // 3 + 1) == {"too few points": "error"}


def test_a_shape_beyond_all_measure_is_not_examined(clean, monkeypatch):
    monkeypatch.setattr(survey, "MOST_POINTS", COUNT)
    change(first(clean), lambda points: points.repeat(2, 0))
    assert found(clean) == {"unusable": "error"}
    assert examples(clean, "unusable")[0].endswith(f"expected 1 to {COUNT} points, got {2 * COUNT}")


def test_copies_are_found_in_any_order(clean):
    copy = clean / "chair" / "train" / "copy.npy"
    np.save(copy, np.load(first(clean))[::-1].astype(np.float64))
    assert found(clean) == {"copies": "warning"}
    assert examples(clean, "copies") == ("chair/train/chairtrainx0 = chair/train/copy",)


def test_a_shape_in_two_splits_is_a_leak(clean):
    np.save(clean / "chair" / "test" / "other.npy", np.load(first(clean))[::-1])
    assert found(clean) == {"leak": "error"}
    np.save(clean / "chair" / "test" / "chairtrainx0.npy", np.load(first(clean)))
    (clean / "chair" / "test" / "other.npy").unlink()
    assert found(clean) == {"leak": "error"}


def test_an_id_in_two_splits_is_the_same_object_unless_it_is_a_running_number(clean):
    np.save(clean / "chair" / "test" / "chairtrainx0.npy", box(99))
    assert found(clean) == {"shared ids": "error"}
    assert examples(clean, "shared ids") == ("chair/chairtrainx0: train, test",)
    (clean / "chair" / "test" / "chairtrainx0.npy").unlink()
    for split, seed in (("train", 5000), ("test", 5001)):
        np.save(clean / "chair" / split / "chair_0001.npy", box(seed))
    assert found(clean) == {}


def test_a_category_that_a_split_lacks(clean):
    write(clean, "lamp", {"train": 10, "val": 10}, make=lambda seed: box(seed + 50))
    (clean / "sofa" / "test").mkdir(parents=True)
    for split in ("train", "val"):
        (clean / "sofa" / split).mkdir()
        np.save(clean / "sofa" / split / f"{split}.npy", box(len(split) + 90))
    assert found(clean) == {"absent": "error"}
    lamp, sofa = examples(clean, "absent")
    assert lamp.startswith("lamp/test: ") and sofa.startswith("sofa/test: ")
    assert "no such split" in lamp and "found nothing" in sofa


def test_splits_that_are_not_there(tmp_path):
    write(tmp_path, sizes={"train": 12, "test": 8})
    assert found(tmp_path) == {"missing splits": "warning"}
    assert examples(tmp_path, "missing splits") == ("val",)
    assert found(tmp_path, val_split="test") == {}
    for path in (tmp_path / "chair" / "train").iterdir():
        path.rename(tmp_path / "chair" / "test" / path.name)
    (tmp_path / "chair" / "train").rmdir()
    assert found(tmp_path, val_split="test") == {"no train split": "error"}


def to_longest_side(points):
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return (points - middle) / np.ptp(points, axis=0).max()


CHANGES = {
    "another scale": to_longest_side,
    "centred boxes": lambda p: p - (p.min(axis=0) + p.max(axis=0)) / 2,
    "unit deviation": lambda p: (p - p.mean(axis=0)) / (p - p.mean(axis=0)).std(),
    "own units": lambda p: p * np.exp(p[9, 0] * 9),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_splits_from_two_normalisations(clean, kind):
    for path in (clean / "chair" / "test").iterdir():
        change(path, CHANGES[kind])
    assert found(clean) == {"mixed splits": "error"}
    (text,) = examples(clean, "mixed splits")
    assert text.startswith("chair/train: unit diagonal; chair/test: ")


def test_splits_in_two_units(tmp_path):
    write(tmp_path, make=lambda seed: 30 * box(seed) * np.random.default_rng(seed).uniform(1, 2))
    assert found(tmp_path) == {}
    for path in (tmp_path / "chair" / "val").iterdir():
        change(path, lambda points: 25.4 * points)
    assert found(tmp_path) == {"mixed splits": "error"}


def test_shapes_of_two_normalisations_in_one_split(clean):
    for index in range(4):
        change(clean / "chair" / "train" / f"chairtrainx{index}.npy", to_longest_side)
    assert found(clean) == {"mixed shapes": "warning"}
    assert examples(clean, "mixed shapes") == ("chair/train: unit diagonal for 67% of the shapes",)


def test_categories_of_two_normalisations(clean):
    write(clean, "sofa", make=lambda seed: to_longest_side(box(seed + 50)))
    write(clean, "bed", make=lambda seed: box(seed + 70))
    assert found(clean) == {"mixed categories": "warning"}
    assert all(text.startswith("sofa/") for text in examples(clean, "mixed categories"))


def test_a_split_that_is_turned(clean):
    for path in (clean / "chair" / "test").iterdir():
        change(path, lambda points: points[:, [0, 2, 1]])
    assert found(clean) == {"turned splits": "error"}
    assert examples(clean, "turned splits") == ("x, y, z of chair/train are x, z, y of chair/test",)


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_sizes_that_cannot_be_computed_with(clean, tmp_path_factory, size):
    change(first(clean), lambda points: points.astype(float) * size)
    assert found(clean) == {"extreme size": "error"}
    every = tmp_path_factory.mktemp("every")
    write(every, make=lambda seed: size * box(seed))
    assert found(every) == {"extreme size": "error"}


def test_a_random_part_of_a_large_set(clean):
    config = Pc15kConfig(root=clean)
    parts = [check(config, most=10, seed=seed) for seed in (0, 0, 1)]
    assert [part.examined for part in parts] == [10, 10, 10]
    assert parts[0].measures == parts[1].measures != parts[2].measures
    assert sum(parts[0].shapes.values()) == 28


def test_nothing_is_written_into_the_data(clean):
    before = {path: path.stat().st_mtime_ns for path in clean.rglob("*")}
    check(Pc15kConfig(root=clean))
    assert {path: path.stat().st_mtime_ns for path in clean.rglob("*")} == before


def test_data_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"^data\.root: expected a folder"):
        check(Pc15kConfig(root=tmp_path / "no"))
    with pytest.raises(ValueError, match="expected folders train, val or test"):
        check(Pc15kConfig(root=tmp_path))
    with pytest.raises(ValueError, match=r"^data\.path: expected an HDF5"):
        check(Hdf5Config(path=tmp_path / "no.h5"))
