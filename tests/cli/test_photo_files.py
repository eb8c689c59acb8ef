"""Which inputs of `pointgen reconstruct` are pictures, what they are called, and what is told."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from pointgen.cli.photo_files import are_photos, photo_files
from pointgen.files import read_clouds

FEW = ("--points", 16)


def picture(path, left=20, mode="RGB", **options):
    """A dark rectangle on white."""
    rgb = np.full((60, 90, 3), 255, dtype=np.uint8)
    rgb[15:45, left : left + 30] = (120, 40, 30)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).convert(mode).save(path, **options)
    return path


def test_a_folder_of_renderings_keeps_its_paths(tmp_path):
    for id in ("c1", "c2"):
        picture(tmp_path / id / "rendering" / "00.png")
        (tmp_path / id / "rendering" / "rendering_metadata.txt").write_text("0 0 0 1.5 60")
    picture(tmp_path / ".hidden" / "00.png")
    picture(tmp_path / "._c1.png")
    assert are_photos([tmp_path], wanted=True) and are_photos([tmp_path], wanted=False)
    ids = [file.id for file in photo_files([tmp_path])]
    assert ids == ["c1/rendering/00", "c2/rendering/00"]


def test_only_what_has_the_same_name_is_renamed(tmp_path):
    for name in ("one/a.png", "one/a.jpg", "one/b.png", "two/c.png", "three/c.png"):
        picture(tmp_path / name)
    inputs = [tmp_path / "one", tmp_path / "two" / "c.png", tmp_path / "three"]
    files = photo_files(inputs)
    assert [file.id for file in files] == ["a.jpg", "a.png", "b", "1/c.png", "2/c.png"]
    assert [file.name for file in files] == ["a", "a", "b", "c", "c"]


def test_textures_do_not_make_a_folder_of_meshes_one_of_pictures(tmp_path):
    (tmp_path / "m" / "models").mkdir(parents=True)
    trimesh.creation.box().export(tmp_path / "m" / "models" / "model_normalized.obj")
    picture(tmp_path / "m" / "images" / "texture.jpg")
    assert not are_photos([tmp_path], wanted=True)


def test_the_run_decides_for_a_folder_of_both(tmp_path):
    picture(tmp_path / "gallery.png")
    np.save(tmp_path / "cloud.npy", np.zeros((4, 3)))
    assert are_photos([tmp_path], wanted=True) and not are_photos([tmp_path], wanted=False)


def test_text_is_a_cloud_unless_it_lies_beside_pictures(tmp_path):
    text = tmp_path / "points.txt"
    text.write_text("0 0 0\n1 1 1\n")
    assert not are_photos([text], wanted=True) and not are_photos([tmp_path], wanted=True)
    assert are_photos([text, picture(tmp_path / "a.png")], wanted=True)


def test_clouds_beside_their_gallery_still_go_through(pointgen, run, tmp_path):
    picture(tmp_path / "in" / "gallery.png")
    np.save(tmp_path / "in" / "cloud.npy", np.random.default_rng(0).normal(size=(30, 3)))
    result = pointgen("reconstruct", run, tmp_path / "in", "-o", tmp_path / "out")
    assert result.status == 0, result.err
    assert [cloud.id for cloud in read_clouds(tmp_path / "out")] == ["cloud"]


def test_what_is_no_picture_is_told_and_the_rest_goes_on(pointgen, image_run, tmp_path):
    good = picture(tmp_path / "good.png")
    (tmp_path / "notes.doc").write_text("not a picture")
    (tmp_path / "metadata.txt").write_text("0 0 0")
    (tmp_path / "nothing").mkdir()
    others = [tmp_path / name for name in ("notes.doc", "metadata.txt", "nothing", "missing.jpg")]
    out = tmp_path / "out"
    result = pointgen("reconstruct", image_run, *others, good, "-o", out, *FEW)
    assert result.status == 1
    errors = [line for line in result.err.splitlines() if line.startswith("error:")]
    assert [str(path) in line for path, line in zip(others, errors, strict=True)] == [True] * 4
    assert [path.name for path in out.iterdir()] == ["good.ply"]


@pytest.mark.parametrize("missing", ["no.png", "no"])
def test_a_picture_that_is_not_there(pointgen, image_run, tmp_path, missing):
    result = pointgen("reconstruct", image_run, tmp_path / missing, "-o", tmp_path / "a.npy")
    assert result.status == 2 and f"{tmp_path / missing}: no such file" in result.err


def test_photos_of_every_kind_give_the_same_cloud(pointgen, image_run, tmp_path):
    upright = picture(tmp_path / "a" / "x.png")
    exif = Image.Exif()
    exif[0x0112] = 3  # taken upside down
    turned = tmp_path / "b" / "x.tiff"
    turned.parent.mkdir()
    Image.open(upright).rotate(180).save(turned, exif=exif)
    palette = picture(tmp_path / "c" / "x.png", mode="P")
    moved = picture(tmp_path / "d" / "x.png", left=50)
    clouds = []
    for number, path in enumerate((upright, turned, palette, moved)):
        out = tmp_path / f"{number}.npy"
        assert pointgen("reconstruct", image_run, path, "-o", out, *FEW).status == 0
        clouds.append(np.load(out))
    for cloud in clouds[1:]:
        np.testing.assert_allclose(cloud, clouds[0], atol=1e-4)


def test_masks_go_by_name_also_where_pictures_share_it(pointgen, image_run, tmp_path):
    for place in ("one", "two"):
        picture(tmp_path / place / "a.png")
    mask = np.zeros((60, 90), dtype=np.uint8)
    mask[20:40, 25:45] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    inputs = (tmp_path / "one", tmp_path / "two", "--mask", tmp_path / "masks")
    result = pointgen("reconstruct", image_run, *inputs, "-o", tmp_path / "out", *FEW)
    assert result.status == 0, result.err
    Image.fromarray(mask[:30]).save(tmp_path / "masks" / "a.png")
    result = pointgen("reconstruct", image_run, *inputs, "-o", tmp_path / "again", *FEW)
    assert result.status == 2 and "expected a mask of 90 x 60 pixels" in result.err


def test_files_that_are_there_stop_the_work_before_it_begins(pointgen, image_run, tmp_path):
    good, out = picture(tmp_path / "a.png"), tmp_path / "out"
    out.mkdir()
    (out / "a.ply").write_bytes(b"mine")
    png = tmp_path / "seen.png"
    result = pointgen("reconstruct", image_run, good, "-o", out, "--png", png)
    assert result.status == 2 and "a.ply: exists already" in result.err and not png.exists()
    assert (out / "a.ply").read_bytes() == b"mine"
    result = pointgen("reconstruct", image_run, good, "-o", tmp_path / "b.npy", "--png", "b.jpg")
    assert result.status == 2 and "ends in .png" in result.err
