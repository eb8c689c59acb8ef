import numpy as np
import pytest
from PIL import Image

from pointgen.images import (
    IMAGE_SUFFIXES,
    ImageError,
    background_found,
    is_image,
    read_image,
)

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (30, 40, 3)).astype(np.uint8)
SMOOTH = np.kron(NOISE[:3, :4], np.ones((10, 10, 1), np.uint8))  # JPEG keeps blocks


def saved(path, pixels, mode=None, **options):
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff", "webp", "ppm", "tga", "pcx"])
def test_lossless_formats_keep_every_pixel(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    rgba = read_image(saved(tmp_path / f"a.{suffix}", NOISE, **options))
    assert rgba.dtype == np.uint8
    np.testing.assert_array_equal(rgba[..., :3], NOISE)
    assert (rgba[..., 3] == 255).all()
    assert rgba.flags.writeable


@pytest.mark.parametrize(("suffix", "mode"), [("jpg", None), ("jpg", "CMYK"), ("tif", "CMYK")])
def test_lossy_formats_and_print_colours_stay_near(tmp_path, suffix, mode):
    options = {"quality": 98, "subsampling": 0} if suffix == "jpg" else {}
    rgba = read_image(saved(tmp_path / f"a.{suffix}", SMOOTH, mode, **options))
    assert np.abs(rgba[..., :3].astype(int) - SMOOTH).mean() < 4


def test_the_ending_does_not_matter(tmp_path):
    path = tmp_path / "picture.jpg"
    saved(tmp_path / "a.png", NOISE).rename(path)
    np.testing.assert_array_equal(read_image(path)[..., :3], NOISE)
    np.testing.assert_array_equal(read_image(str(path)), read_image(path))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_scale(tmp_path, suffix):
    values = (NOISE[..., 0].astype(np.uint16) // 2) * 257
    rgba = read_image(saved(tmp_path / f"a.{suffix}", values))
    for channel in range(3):
        np.testing.assert_array_equal(rgba[..., channel], NOISE[..., 0] // 2)


def test_numbers_without_a_scale_are_stretched(tmp_path):
    values = np.linspace(-3, 1e6, 1200, dtype=np.float32).reshape(30, 40)
    for kind in (np.float32, np.int32):
        grey = read_image(saved(tmp_path / "a.tif", values.astype(kind)))[..., 0]
        assert (grey.min(), grey.max()) == (0, 255)
        assert (np.diff(grey.ravel().astype(int)) >= 0).all()
    flat = read_image(saved(tmp_path / "a.tif", np.full((9, 9), 0.5, np.float32)))
    assert (flat[..., 3] == 255).all()


def test_numbers_that_are_not_finite_are_told(tmp_path):
    path = saved(tmp_path / "a.tif", np.array([[np.nan, 1.0]], np.float32))
    with pytest.raises(ImageError, match="not finite"):
        read_image(path)


def test_grey_and_one_bit(tmp_path):
    grey = NOISE[..., 0]
    rgba = read_image(saved(tmp_path / "a.png", grey))
    np.testing.assert_array_equal(rgba[..., :3], np.repeat(grey[..., None], 3, axis=-1))
    rgba = read_image(saved(tmp_path / "b.png", grey > 127))
    np.testing.assert_array_equal(rgba[..., 1], np.where(grey > 127, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "tga"])
def test_own_transparency_is_kept(tmp_path, disc, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    rgba = read_image(saved(tmp_path / f"a.{suffix}", disc(), **options))
    np.testing.assert_array_equal(rgba[..., 3], disc()[..., 3])
    assert background_found(rgba)


def test_grey_with_transparency(tmp_path, disc):
    rgba = read_image(saved(tmp_path / "a.png", disc(), "LA"))
    np.testing.assert_array_equal(rgba[..., 3], disc()[..., 3])


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_a_palette_with_a_transparent_entry(tmp_path, suffix):
    picture = Image.fromarray(np.repeat(np.arange(3, dtype=np.uint8), 100).reshape(15, 20), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / f"a.{suffix}", transparency=1)
    rgba = read_image(tmp_path / f"a.{suffix}").reshape(-1, 4)
    assert rgba[0].tolist() == [255, 0, 0, 255]
    assert rgba[150, 3] == 0
    assert rgba[299].tolist() == [0, 0, 255, 255]


def test_a_colour_that_stands_for_transparent(tmp_path):
    pixels = NOISE.copy()
    pixels[:10] = (1, 2, 3)
    path = saved(tmp_path / "a.png", pixels, transparency=(1, 2, 3))
    assert (read_image(path)[..., 3] == 0).sum() == 400
    deep = np.full((4, 4), 40000, np.uint16)
    deep[0] = 1234
    path = saved(tmp_path / "b.png", deep, transparency=1234)
    assert (read_image(path)[..., 3] == 0).sum() == 4


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright(tmp_path, suffix, orientation):
    """EXIF 2.3: where the stored first row and first column are in the scene."""
    scene = np.zeros((16, 32, 3), np.uint8)
    scene[:8, :16], scene[:8, 16:], scene[8:, :16] = 250, 160, 80
    stored = {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: scene.transpose(1, 0, 2)[::-1],
        7: scene.transpose(1, 0, 2)[::-1, ::-1],
        8: scene.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{suffix}", np.ascontiguousarray(stored), exif=exif)
    rgba = read_image(path)
    assert rgba.shape == (16, 32, 4)
    corners = rgba[[2, 2, -3, -3], [2, -3, 2, -3], 0].astype(int)
    assert np.abs(corners - [250, 160, 80, 0]).max() < 12


def test_a_mask_says_where_the_object_is(tmp_path):
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 10:30] = 255
    mask[4] = 128
    picture = saved(tmp_path / "a.png", NOISE)
    for name, mode in (("m.png", None), ("rgb.png", "RGB"), ("bit.png", "1")):
        rgba = read_image(picture, saved(tmp_path / name, np.where(mask > 200, mask, 0), mode))
        np.testing.assert_array_equal(rgba[..., 3] == 255, mask == 255)
        np.testing.assert_array_equal(rgba[..., :3], NOISE)
    clear = np.full((30, 40, 4), 255, np.uint8)
    clear[..., 3] = mask  # white, and where it is no object, transparent white
    rgba = read_image(picture, saved(tmp_path / "clear.png", clear))
    np.testing.assert_array_equal(rgba[..., 3], mask)
    soft = read_image(picture, saved(tmp_path / "soft.png", mask))
    np.testing.assert_array_equal(soft[..., 3], mask)


def test_a_mask_and_own_transparency_hide_both(tmp_path, disc):
    mask = np.zeros((137, 137), np.uint8)
    mask[:68] = 255
    rgba = read_image(saved(tmp_path / "a.png", disc()), saved(tmp_path / "m.png", mask))
    np.testing.assert_array_equal(rgba[..., 3], np.minimum(mask, disc()[..., 3]))


def test_a_mask_that_cannot_be(tmp_path):
    picture = saved(tmp_path / "a.png", NOISE)
    mask = saved(tmp_path / "m.png", NOISE[:-1, :, 0])
    with pytest.raises(ImageError, match=r"m\.png: expected a mask of 40 x 30 .* got 40 x 29"):
        read_image(picture, mask)
    with pytest.raises(ImageError, match=r"m\.png: nothing is visible"):
        read_image(picture, saved(mask, np.zeros((30, 40), np.uint8)))
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        read_image(picture, tmp_path / "none.png")


def test_plain_ground_is_found_and_other_ground_is_not(tmp_path, photo):
    rgba = read_image(saved(tmp_path / "a.jpg", photo(noise=2), quality=85))
    assert background_found(rgba)
    assert rgba[0, 0, 3] == 0
    assert rgba[70, 100, 3] == 255
    assert not background_found(read_image(saved(tmp_path / "b.png", photo(noise=60))))


def test_one_pixel(tmp_path):
    rgba = read_image(saved(tmp_path / "a.png", np.full((1, 1, 3), 7, np.uint8)))
    assert rgba.tolist() == [[[7, 7, 7, 255]]]


def test_endings():
    assert is_image("a/b.PNG")
    assert is_image("photo.jpeg")
    assert not is_image("cloud.ply")
    assert not is_image("png")
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in IMAGE_SUFFIXES)
