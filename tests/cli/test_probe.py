"""`pointgen probe`: a linear classifier on the codes of a run."""

import json

import numpy as np
import pytest

from pointgen.metrics.linear import linear_accuracy


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("labelled") / "labelled.toml"
    text = config.read_text().replace("size = 8\n", 'size = 16\ncategories = ["sphere", "table"]\n')
    path.write_text(text)
    return path


def test_even_codes_of_random_weights_tell_a_sphere_from_a_table(pointgen, run, labelled):
    result = pointgen("probe", run, labelled, "--json")
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert found["shapes"] == {"train": 32, "test": 8}
    assert found["accuracy"] > 0.6 and set(found["by_category"]) == {"sphere", "table"}
    assert found["accuracy"] == pytest.approx(np.mean(list(found["by_category"].values())))
    assert pointgen("probe", run, labelled).out.splitlines()[-1].endswith("of 8 test shapes")


def test_the_units_of_the_data_do_not_matter(pointgen, run, labelled, tmp_path):
    """Shapes a hundred times as large, and elsewhere, have the same codes."""
    from pointgen.config import read_config

    rows = []
    for scale, shift in ((1.0, 0.0), (100.0, 50.0)):
        root = tmp_path / f"{scale:g}"
        for split in ("train", "test"):
            data = read_config(labelled).data.build(split)
            for item in data:
                folder = root / data.categories[item.label] / split
                folder.mkdir(parents=True, exist_ok=True)
                cloud = np.concatenate([item.points.numpy(), item.target.numpy()] * 3)
                np.save(folder / f"{item.id}.npy", (scale * cloud + shift).astype(np.float32))
        result = pointgen("probe", run, root, "--json")
        assert result.status == 0, result.err
        rows.append(json.loads(result.out)["accuracy"])
    assert rows[0] == rows[1]


def test_one_category_is_nothing_to_tell_apart(pointgen, run, config):
    result = pointgen("probe", run, config)
    assert result.status == 2 and "expected several categories, got chair" in result.err


def test_the_classifier_learns_what_is_linear_and_not_what_is_not():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(400, 3))
    linear, nested = (codes @ [1, -2, 0.5] > 0), (codes**2).sum(1) > 2.4
    for labels, least, most in ((linear, 0.97, 1.0), (nested, 0.3, 0.7)):
        right = linear_accuracy(codes[:300], labels[:300], codes[300:], labels[300:])
        assert right.shape == (100,) and least <= right.mean() <= most
