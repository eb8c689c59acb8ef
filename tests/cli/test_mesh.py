"""`pointgen mesh`: every format, folders, runs, and what happens to what has no surface."""

import json

import numpy as np
import pytest
from PIL import Image

from pointgen.files import read_surface, write_clouds

pytestmark = pytest.mark.needs("open3d")


@pytest.fixture
def ball():
    points = np.random.default_rng(0).normal(size=(500, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("ending", ["ply", "obj", "glb", "stl", "off"])
def test_each_format_is_written_and_read(pointgen, ball, tmp_path, ending):
    write_clouds(tmp_path / "ball.npy", ball)
    out = tmp_path / f"ball.{ending}"
    result = pointgen("mesh", tmp_path / "ball.npy", "-o", out, "--json")
    assert result.status == 0, result.err
    (facts,) = json.loads(result.out)["surfaces"]
    surface = read_surface(out)
    assert len(surface.faces) == facts["faces"] > 300 and facts["closed"] and facts["manifold"]
    assert abs(np.linalg.norm(surface.vertices, axis=1) - 1).max() < 0.1
    refused = pointgen("mesh", tmp_path / "ball.npy", "-o", out)
    assert refused.status == 2 and "exists already" in refused.err


def test_colours_go_along(pointgen, ball, tmp_path):
    red = np.where(ball[:, :1] > 0, [[250, 0, 0]], [[0, 0, 250]]).astype(np.uint8)
    write_clouds(tmp_path / "ball.ply", ball, colours=red)
    assert pointgen("mesh", tmp_path / "ball.ply", "-o", tmp_path / "a.glb").status == 0
    found = read_surface(tmp_path / "a.glb")
    far = abs(found.vertices[:, 0]) > 0.2
    assert ((found.colours[:, 0] > 200) == (found.vertices[:, 0] > 0))[far].all()


def test_a_bad_cloud_is_one_line_and_the_rest_goes_on(pointgen, ball, tmp_path):
    write_clouds(tmp_path / "in" / "a.ply", ball)
    write_clouds(tmp_path / "in" / "flat.ply", ball * np.float32([1, 0, 1]))
    out, png = tmp_path / "out", tmp_path / "seen.png"
    result = pointgen("mesh", tmp_path / "in", "-o", out, "--to", "obj", "--png", png)
    assert result.status == 1
    assert result.err.count("points of one plane") == 1 and "flat:" in result.err
    assert [path.name for path in out.iterdir()] == ["a.obj"]
    dark = np.asarray(Image.open(png).convert("L")) < 250
    assert 0.1 < dark.mean() < 0.9
    alone = pointgen("mesh", tmp_path / "in" / "flat.ply", "-o", tmp_path / "x.ply")
    assert alone.status == 2
    assert alone.err == "error: flat: expected points around a body, got points of one plane\n"


def test_a_damaged_file_is_one_line_and_the_rest_goes_on(pointgen, ball, tmp_path):
    write_clouds(tmp_path / "in" / "a.ply", ball)
    np.save(tmp_path / "in" / "hole.npy", np.where(ball > 0.9, np.nan, ball))
    (tmp_path / "in" / "header.ply").write_text("no header")
    (tmp_path / "in" / "text.xyz").write_text("no numbers")
    result = pointgen("mesh", tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert result.status == 1
    facts = json.loads(result.out)
    assert [each["id"] for each in facts["surfaces"]] == ["a"] and len(facts["failed"]) == 3
    lines = result.err.splitlines()
    bad = ("header.ply: ", "hole.npy: ", "text.xyz: ")
    assert len(lines) == 3 and all(name in line for name, line in zip(bad, lines, strict=True))
    (tmp_path / "in" / "a.ply").unlink()
    result = pointgen("mesh", tmp_path / "in", "-o", tmp_path / "none")
    assert result.status == 2 and "none of 3 files can be read" in result.err
    result = pointgen("mesh", tmp_path / "in" / "text.xyz", "-o", tmp_path / "x.ply")
    assert result.status == 2 and len(result.err.splitlines()) == 1


def test_a_run_gives_surfaces_of_its_samples(pointgen, run, tmp_path):
    result = pointgen("mesh", run, "-o", tmp_path / "out", "--points", 200, "--method", "pivot")
    assert result.status == 0, result.err
    assert len(list((tmp_path / "out").glob("*.ply"))) == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "x.xyz"], "expected .ply, .obj, .glb, .stl or .off"),
        (["-o", "x.ply", "--to", "obj"], "--to is for a folder"),
        (["-o", "x.ply", "--method", "alpha", "--watertight"], "only poisson"),
        (["twice.npy", "-o", "x.ply"], "expected a folder for 3 clouds"),
        (["x.off", "-o", "y.ply"], "no such file"),
    ],
)
def test_mistakes_are_one_line(pointgen, ball, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    write_clouds(tmp_path / "ball.npy", ball)
    write_clouds(tmp_path / "twice.npy", np.stack([ball, ball]))
    refused = pointgen("mesh", "ball.npy", *options)
    assert refused.status == 2 and message in refused.err
    assert not (tmp_path / "x.ply").exists()


def test_a_surface_is_no_cloud(pointgen, ball, tmp_path):
    write_clouds(tmp_path / "ball.npy", ball)
    assert pointgen("mesh", tmp_path / "ball.npy", "-o", tmp_path / "a.obj").status == 0
    refused = pointgen("mesh", tmp_path / "a.obj", "-o", tmp_path / "b.obj")
    assert refused.status == 2 and "a surface already" in refused.err
