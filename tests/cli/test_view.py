"""`pointgen view` and the ways that `generate --frames` keeps."""

import numpy as np
import pytest
from PIL import Image

from pointgen.files import read_clouds, read_frames, write_clouds


@pytest.fixture
def clouds(tmp_path):
    """Two files of one cloud, the second with colours and labels."""
    points = np.random.default_rng(0).normal(size=(2, 200, 3)).astype(np.float32)
    red = np.broadcast_to(np.array([200, 0, 0], np.uint8), (200, 3))
    labels = (points[1, :, 0] > 0).astype(int)
    write_clouds(tmp_path / "plain.ply", points[0])
    write_clouds(tmp_path / "rich.ply", points[1], colours=red, labels=labels)
    return tmp_path


def shown(path):
    """Return the mean colour (3,) of what is neither white nor grey in a picture."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return picture[np.ptp(picture, axis=2) > 25].mean(axis=0)


def test_view_draws_without_a_display(pointgen, run, tmp_path):
    png, page = tmp_path / "new.png", tmp_path / "new.html"
    assert pointgen("view", run, "--points", 100, "--png", png, "--html", page).status == 0
    assert page.stat().st_size > 10_000
    assert Image.open(png).size[0] > 100
    refused = pointgen("view", run, "--png", png)
    assert refused.status == 2 and "exists already" in refused.err


def test_colours_are_the_files_own_or_chosen(pointgen, clouds):
    file = clouds / "rich.ply"
    for number, options in enumerate([[], ["--color", "plain"], ["--color", "label"]]):
        png = clouds / f"{number}.png"
        assert pointgen("view", file, "--png", png, "--size", 64, *options).status == 0
    red, _, blue = shown(clouds / "0.png")
    assert red > 3 * blue
    red, _, blue = shown(clouds / "1.png")
    assert blue > red
    labels = np.asarray(Image.open(clouds / "2.png").convert("RGB")).astype(int)
    blue, orange = ((labels @ (-1, 0, 1)) > 40).sum(), ((labels @ (1, 0, -1)) > 40).sum()
    assert min(blue, orange) > 50


def test_distance_and_density_say_their_scale(pointgen, clouds, run):
    png = clouds / "out.png"
    far = pointgen("view", clouds / "plain.ply", "--png", png, "--color", "distance",
                   "--to", clouds / "rich.ply")  # fmt: skip
    assert far.status == 0 and "distance to rich.ply" in far.err
    dense = pointgen("view", clouds / "plain.ply", "--png", png, "--force",
                     "--color", "density", "--model", run)  # fmt: skip
    assert dense.status == 0 and "nats" in dense.err


def test_density_is_that_of_a_cloud_in_the_frame_of_the_run(pointgen, config, clouds):
    """Where the training scales each shape, size and place change no density."""
    run, png = clouds / "run", clouds / "out.png"
    options = ("--set", "data.normalize=shape_bbox", "--set", "train.report=false")
    assert pointgen("train", config, "--out", run, *options).status == 0
    cloud = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    np.save(clouds / "near.npy", cloud)
    np.save(clouds / "far.npy", 64 * (cloud + 2))
    near, far = (
        pointgen("view", clouds / f"{name}.npy", "--png", png, "--force", "--color", "density",
                 "--model", run).err
        for name in ("near", "far")
    )  # fmt: skip
    said = [next(line for line in text.splitlines() if "log p" in line) for text in (near, far)]
    assert said[0] == said[1]


def test_one_scale_of_colours_serves_all_inputs(pointgen, clouds):
    """One file is the other's measure, so its points are all of the darkest colour."""
    both = (clouds / "plain.ply", clouds / "rich.ply")
    options = ("--color", "distance", "--to", clouds / "rich.ply", "--size", 64, "--columns", 2)
    result = pointgen("view", *both, "--png", clouds / "both.png", *options)
    assert result.err.count("colours: distance to rich.ply, 0 (dark)") == 1
    picture = np.asarray(Image.open(clouds / "both.png").convert("RGB")).astype(int)
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    light = [(half[..., 1] - half[..., 2] > 40).sum() for half in (left, right)]
    assert light[0] > 50 and light[1] == 0


def test_a_way_is_generated_kept_and_watched(pointgen, run, tmp_path):
    way, moving = tmp_path / "way.npz", tmp_path / "way.webp"
    made = pointgen("generate", run, "-n", 2, "--points", 50, "--frames", 5, "-o", way)
    assert made.status == 0, made.err
    assert read_frames(way).shape == (2, 5, 50, 3)
    assert [cloud.id for cloud in read_clouds(way)] == ["000", "001"]
    ends = tmp_path / "ends.npy"
    fine = ("-n", 2, "--points", 50, "--steps", 40)
    assert pointgen("generate", run, *fine, "-o", ends).status == 0
    drawn = pointgen("view", way, "--gif", moving, "--size", 32)
    assert drawn.status == 0, drawn.err
    with Image.open(moving) as frames:
        assert frames.n_frames > 10
    fresh = pointgen("view", run, "--points", 50, "--frames", 3, "--html", tmp_path / "page.html")
    assert fresh.status == 0, fresh.err
    refused = pointgen("generate", run, "--frames", 5, "-o", tmp_path / "way.ply")
    assert refused.status == 2 and ".npz" in refused.err


def test_the_way_ends_where_a_fine_solve_does(pointgen, run, tmp_path):
    options = ("-n", 2, "--points", 50, "--steps", 64)
    way, ends = tmp_path / "way.npz", tmp_path / "ends.npy"
    assert pointgen("generate", run, *options, "--frames", 65, "-o", way).status == 0
    assert pointgen("generate", run, *options, "-o", ends).status == 0
    found = [cloud.points for cloud in read_clouds(way)]
    assert np.allclose(found, np.load(ends), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--color", "distance"], "expected --to"),
        (["--color", "density"], "expected --model"),
        (["--color", "label"], "expected labels"),
        (["--png", "x.jpg"], "ends in .png"),
        (["--gif", "x.mp4"], "ends in .gif, .webp, .apng"),
        (["--compare"], "expected two inputs"),
        (["--frames", "4"], "--frames: no input is a run"),
    ],
)
def test_what_is_missing_is_said(pointgen, clouds, options, message, monkeypatch):
    monkeypatch.chdir(clouds)
    extra = [] if {"--png", "--gif", "--compare"} & set(options) else ["--png", "out.png"]
    refused = pointgen("view", "plain.ply", *options, *extra)
    assert refused.status == 2
    assert message in refused.err and refused.err.count("\n") == 1
    assert not (clouds / "out.png").exists()


def test_distance_needs_one_shape_or_one_for_each(pointgen, clouds):
    both = clouds / "both.npy"
    write_clouds(both, np.zeros((2, 5, 3)))
    refused = pointgen("view", clouds / "plain.ply", "--png", clouds / "x.png",
                       "--color", "distance", "--to", both)  # fmt: skip
    assert refused.status == 2 and "expected 1 shape" in refused.err
