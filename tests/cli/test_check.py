"""`pointgen data check`: what it prints, and its exit status."""

import json

import numpy as np
import pytest

from pointgen.files import write_clouds


def cloud(seed):
    """A long box, all corners included, so that its size is exactly what it seems."""
    rng = np.random.default_rng(seed)
    points = rng.random((60, 3))
    points[:8] = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    return (points * [2, 3, 1]).astype(np.float32)


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for place, split in enumerate(("train", "val", "test")):
        for index in range(15):
            path = root / "thing" / split / f"{split}_{index:04d}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, cloud(100 * place + index))
    return root


def test_nothing_wrong_is_status_0(pointgen, data):
    ended = pointgen("data", "check", data, "--strict")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == f"{data} (pc15k)"
    assert ["thing", "15", "15", "15"] in [line.split() for line in ended.out.splitlines()]
    assert "45 of 45 shapes" in ended.out and "60 a shape" in ended.out
    assert ended.out.endswith("nothing wrong\n")


def test_an_error_is_status_1(pointgen, data):
    for index in range(15):
        (data / "thing" / "val" / f"val_{index:04d}.npy").write_bytes(b"damage")
    ended = pointgen("data", "check", data)
    assert (ended.status, ended.err) == (1, "")
    assert "error: unusable: " in ended.out and "(15)" in ended.out
    assert ended.out.count("val_00") == 2 * 12  # name and path of the first dozen
    assert "... and 3 more" in ended.out
    assert ended.out.endswith("1 kind of error\n")


def test_a_warning_is_status_0_unless_strict(pointgen, data):
    np.save(data / "thing" / "train" / "copy.npy", cloud(0))
    ended = pointgen("data", "check", data)
    assert ended.status == 0 and "warning: copies: " in ended.out
    assert pointgen("data", "check", data, "--strict").status == 1


def test_json_has_everything(pointgen, data):
    for index in range(15):
        (data / "thing" / "val" / f"val_{index:04d}.npy").write_bytes(b"damage")
    ended = pointgen("data", "check", data, "--json")
    report = json.loads(ended.out)
    assert ended.status == 1
    assert report["shapes"] == {"thing/train": 15, "thing/val": 15, "thing/test": 15}
    assert report["points"] == {"60": 30}
    (finding,) = report["findings"]
    assert (finding["kind"], finding["severity"]) == ("unusable", "error")
    assert len(finding["examples"]) == 15


def test_a_part_of_the_shapes(pointgen, data):
    ended = pointgen("data", "check", data, "--most", 7, "--json")
    assert (ended.status, json.loads(ended.out)["examined"]) == (0, 7)


def test_a_config_says_how_many_points_there_must_be(pointgen, config):
    ended = pointgen("data", "check", config)
    assert (ended.status, ended.err) == (0, "")
    assert "(procedural)" in ended.out


def test_what_generate_writes(pointgen, tmp_path):
    write_clouds(tmp_path / "generated", [cloud(number) for number in range(12)])
    ended = pointgen("data", "check", tmp_path / "generated")
    assert ended.out.splitlines()[0] == f"{tmp_path / 'generated'} (clouds)"
    assert (ended.status, ended.err) == (0, "") and "12 of 12 shapes" in ended.out


def test_too_few_points_for_the_config(pointgen, config, data, tmp_path):
    head, _, rest = config.read_text().partition("[data]")
    train = rest[rest.index("[train]") :]
    own = tmp_path / "own.toml"
    own.write_text(f'{head}[data]\nkind = "pc15k"\nroot = "{data}"\nnum_points = 64\n{train}')
    ended = pointgen("data", "check", own)
    assert ended.status == 1 and "too few points" in ended.out


def test_bad_usage_is_status_2(pointgen, tmp_path, data):
    for arguments in ((tmp_path / "no",), (tmp_path / "no.toml",), (data, "--most", 0), ()):
        ended = pointgen("data", "check", *arguments)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err.startswith("error: ") and ended.err.count("\n") == 1
