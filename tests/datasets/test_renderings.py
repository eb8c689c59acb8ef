"""Clouds joined with pictures by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from pointgen.datasets import MeshesConfig, Pc15kConfig, ProceduralConfig, RenderingsConfig
from pointgen.datasets.around import clouds_of
from pointgen.datasets.renderings.layout import METADATA
from pointgen.geometry.cameras import ViewCamera

COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0)]


def picture(path, colour, size=40):
    """A square of one colour, off the middle of a transparent picture."""
    rgba = np.zeros((size, size, 4), dtype=np.uint8)
    rgba[5:20, 10:25] = (*colour, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba).save(path)


@pytest.fixture
def clouds(tmp_path):
    """Two categories, ten shapes each to train on and two to test on."""
    rng = np.random.default_rng(0)
    for synset in ("03001627", "02691156"):
        for split, count in (("train", 8), ("test", 2)):
            folder = tmp_path / "points" / synset / split
            folder.mkdir(parents=True)
            for place in range(count):
                np.save(folder / f"{split[0]}{place}.npy", rng.normal(size=(96, 3)))
    return Pc15kConfig(root=tmp_path / "points", categories="all")


@pytest.fixture
def images(tmp_path):
    """Three views of every shape, in 3D-R2N2's layout, each with a colour of its own."""
    root = tmp_path / "ShapeNetRendering"
    for synset in ("03001627", "02691156"):
        for name in [f"t{place}" for place in range(8)] + ["t0", "t1"]:
            folder = root / synset / name / "rendering"
            for view in range(3):
                picture(folder / f"{view:02d}.png", COLOURS[view])
            lines = [ViewCamera(90.0 * view, 30.0).line() for view in range(3)]
            (folder / METADATA).write_text("\n".join(lines))
    return root


def joined(images, clouds, **more):
    settings = {"num_points": 16, "size": 16, "augment": False} | more
    return RenderingsConfig(images=images, clouds=clouds, **settings)


def colour(image):
    """The colour in the middle of a picture (3, H, W)."""
    return (255 * image[:, image.shape[1] // 2, image.shape[2] // 2]).round().int().tolist()


def test_items_have_the_pictures_that_bear_their_names(clouds, images):
    data = joined(images, clouds).build("train")
    assert len(data) == 16 and data.categories == ("airplane", "chair")
    item = data[1]
    assert item.image.shape == (3, 16, 16) and item.image.dtype == torch.float32
    assert item.points.shape == (16, 3) and item.id == "t1"
    assert item.image.min() >= 0 and item.image.max() <= 1


def test_evaluation_is_fixed_and_training_sees_every_view(clouds, images):
    data = joined(images, clouds).build("train")
    assert torch.equal(data[3].image, data[3].image)
    seen = {tuple(colour(data.draw(3, np.random.default_rng(k)).image)) for k in range(30)}
    assert seen == set(COLOURS[:3])
    one, other = (data.draw(3, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.image, other.image) and torch.equal(one.points, other.points)


def test_the_object_is_cut_out_and_laid_on_the_background(clouds, images):
    item = joined(images, clouds, background=(0.5, 0.5, 0.5)).build("train")[0]
    assert colour(item.image) in [list(c) for c in COLOURS]
    torch.testing.assert_close(item.image[:, 0, 0], torch.full((3,), 0.5, dtype=torch.float32))
    whole = joined(images, clouds, crop=False).build("train")[0]
    assert (whole.image < 0.99).any(0).sum() < (item.image != 0.5).any(0).sum()


def test_augmentation_varies_what_a_view_looks_like(clouds, images):
    data = joined(images, clouds, augment=True, background="random").build("train")
    drawn = [data.draw(0, np.random.default_rng(k)).image for k in range(8)]
    assert len({tuple(image[:, 0, 0].tolist()) for image in drawn}) > 3
    assert torch.equal(data[0].image, joined(images, clouds).build("train")[0].image)


def test_the_viewer_sees_the_shape_turned(clouds, images):
    seen, still = (joined(images, clouds, frame=f).build("train") for f in ("viewer", "object"))
    for index in range(4):
        rotation = torch.from_numpy(ViewCamera(90.0 * (index % 3), 30.0).rotation).float()
        torch.testing.assert_close(seen[index].points, still[index].points @ rotation.T)
    torch.testing.assert_close(seen.points()[2], seen[2].target)
    drawn = seen.draw(0, np.random.default_rng(1))
    turns = [torch.from_numpy(ViewCamera(90.0 * view, 30.0).rotation).float() for view in range(3)]
    same = still.draw(0, np.random.default_rng(1)).points
    assert any(torch.allclose(drawn.points, same @ turn.T, atol=1e-5) for turn in turns)
    assert not np.allclose(seen.standardization().mean, still.standardization().mean)


def test_cameras_that_changed_are_read_again(clouds, images):
    chairs = clouds.model_copy(update={"categories": ("chair",)})
    data = joined(images, chairs, frame="viewer").build("test")
    before = data[0].points
    for path in images.rglob(METADATA):
        lines = [ViewCamera(20.0 + 90.0 * view, 30.0).line() for view in range(3)]
        path.write_text("\n".join(lines))
    assert not torch.allclose(data[0].points, before)


def test_the_portions_of_3d_r2n2_go_by_sorted_names(clouds, images):
    config = joined(images, clouds, split="r2n2")
    train, val, test = (config.build(split) for split in ("train", "val", "test"))
    assert len(train) == 16 and len(test) == 4 and list(val.ids) == list(test.ids)
    for label in (0, 1):
        ids = [i.id for i in train if i.label == label]
        rest = [i.id for i in test if i.label == label]
        assert max(ids) <= min(rest) and len(rest) == 2


def test_shapes_without_pictures_stop_or_are_left_out(clouds, images):
    for path in (images / "03001627" / "t7" / "rendering").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"1 of 16 shapes have no pictures in .* such as t7"):
        joined(images, clouds).build("train")
    with pytest.warns(UserWarning, match="1 of 16"):
        data = joined(images, clouds, on_error="skip").build("train")
    assert len(data) == 15 and data[7].image is not None


def test_no_picture_at_all_is_said_with_what_makes_them(clouds, tmp_path):
    with pytest.raises(ValueError, match=r"data\.images: expected a folder"):
        joined(tmp_path / "nowhere", clouds).build("train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="pointgen data render"):
        joined(tmp_path / "empty", clouds, on_error="skip").build("train")


@pytest.mark.parametrize("layout", ["{id}.jpg", "{id}/0.png", "{id}/rendering/00.png"])
def test_pairs_of_ones_own_need_equal_names_only(layout, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a[1]", "b"):
        np.save(path := tmp_path / f"{name}.npy", rng.normal(size=(48, 3)))
        (tmp_path / "clouds" / "train").mkdir(parents=True, exist_ok=True)
        path.rename(tmp_path / "clouds" / "train" / path.name)
        target = tmp_path / "photos" / layout.format(id=name)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (0, 90, 0)).save(target)
    data = joined(tmp_path / "photos", Pc15kConfig(root=tmp_path / "clouds")).build("train")
    assert list(data.ids) == ["a[1]", "b"]
    green = data[0].image[:, 8, 8]
    assert green[1] > 0.3 and green[0] < 0.1


def test_a_damaged_picture_is_one_error_that_names_it(clouds, images):
    path = images / "02691156" / "t0" / "rendering" / "00.png"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"00\.png"):
        joined(images, clouds).build("train")[0]


def test_cameras_that_lack_are_one_error(clouds, images):
    (images / "02691156" / "t1" / "rendering" / METADATA).write_text("0 30 0 0.8 25")
    data = joined(images, clouds, frame="viewer").build("train")
    with pytest.raises(ValueError, match=r"camera for each of 3 pictures, got 1"):
        data[1]


def test_the_settings_of_the_clouds_are_those_of_the_whole(clouds):
    config = RenderingsConfig(images="x", clouds=clouds, num_points=7, normalize="shape_unit")
    inner = clouds_of(config)
    assert (inner.num_points, inner.normalize, inner.root) == (7, "shape_unit", clouds.root)
    assert clouds_of(clouds) is clouds


def test_any_source_can_be_joined():
    for clouds in (ProceduralConfig(), MeshesConfig(root="meshes")):
        assert RenderingsConfig(images="x", clouds=clouds.model_dump()).clouds == clouds
