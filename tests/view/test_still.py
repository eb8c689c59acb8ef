import numpy as np
import pytest
from PIL import Image

from pointgen.view.camera import Camera, Lens
from pointgen.view.palette import PALETTES, colour
from pointgen.view.splat import splat
from pointgen.view.still import draw, save_png

WHITE = 255


def pixels(picture):
    return np.asarray(picture).astype(int)


def coloured(picture):
    """Where the picture is neither white nor the grey of a shadow."""
    return np.ptp(pixels(picture), axis=2) > 12


def test_the_same_clouds_give_the_same_picture(torus):
    assert draw([torus], size=96).tobytes() == draw([torus.copy()], size=96).tobytes()


def test_the_order_of_the_points_does_not_matter(torus):
    first, second = pixels(draw([torus], size=96)), pixels(draw([torus[::-1]], size=96))
    assert np.abs(first - second).max() <= 1


def test_a_torus_is_a_ring_with_a_shadow_on_white(torus):
    picture = draw([torus], size=200, elevation=70)
    ring = coloured(picture)
    assert not ring[100, 100]  # the hole
    assert ring[100, :60].any() and ring[100, 140:].any() and ring[:60, 100].any()
    assert (pixels(picture)[[0, 0, -1, -1], [0, -1, 0, -1]] > 252).all()  # white corners
    below = pixels(picture)[ring.any(axis=1).nonzero()[0].max() + 4]
    assert below.min() < 0.9 * WHITE  # the shadow


def test_nothing_touches_the_edge_of_a_cell(torus, chair):
    for azimuth in (0, 30, 200):
        for elevation in (-20, 10, 90):
            marked = coloured(draw([torus, chair], size=80, azimuth=azimuth, elevation=elevation))
            for cell in (marked[:, :80], marked[:, 80:]):
                assert cell.any()
                assert not cell[[0, -1]].any() and not cell[:, [0, -1]].any()


def test_scale_and_place_do_not_matter(torus):
    expected = pixels(draw([torus], size=96))
    moved = (torus.astype(np.float64) * 64 + (128, -256, 512)).astype(np.float32)
    assert np.abs(pixels(draw([moved], size=96)) - expected).mean() < 0.5


def test_one_scale_for_all_or_one_for_each(torus):
    clouds = [torus, 0.4 * torus]
    for fit, equal in (("all", False), ("each", True)):
        shown = coloured(draw(clouds, size=96, fit=fit))
        large, small = shown[:, :96].sum(), shown[:, 96:].sum()
        assert (abs(small / large - 1) < 0.05) == equal
    with pytest.raises(ValueError, match="fit"):
        draw(clouds, fit="both")


def test_a_gallery_has_cells_and_strips_for_captions(torus):
    assert draw([torus] * 5, size=64, columns=3).size == (192, 128)
    with_captions = draw([torus] * 3, size=64, columns=3, captions=["one", "", "x" * 500])
    assert with_captions.size[0] == 192
    strip = pixels(with_captions)[64:]
    assert len(strip) >= 14
    written = (strip < 200).any(axis=(0, 2))
    assert written[:64].any() and not written[64:128].any() and written[128:].any()
    assert not written[[128, 191]].any()  # the long one is shortened


def test_the_camera_of_the_papers_stands_at_3_3_3():
    camera = Camera(45, np.degrees(np.arcsin(1 / np.sqrt(3))))
    assert np.allclose(camera.axes @ camera.axes.T, np.eye(3))
    assert np.allclose(camera.axes[2], 1 / np.sqrt(3))
    assert camera.axes[1, 1] > 0  # y is up


def test_floor_and_projection_are_inverse():
    camera = Camera(20, 30)
    places = np.array([[0.3, -0.5, 0.1], [-0.4, -0.5, 0.6]])
    assert np.allclose(camera.floor(camera.project(places)[0], -0.5), places[:, [0, 2]])
    assert np.isnan(camera.floor(np.array([[0.0, 5.0]]), -0.5)).all()  # above the horizon


def test_spheres_hide_what_is_behind_them():
    camera = Camera(0, 0)
    points = np.array([[0, 0, 0.4], [0, 0, -0.4]])
    colours = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    lens = Lens(500.0, np.zeros(2), 64)
    for order in ([0, 1], [1, 0]):
        cover, seen = splat(
            points[order], colours[order], np.ones(2), 0.1, camera.axes[2], camera, lens
        )
        assert cover[32, 32] == 1 and seen[32, 32, 0] > 0.5 and (seen[..., 1] == 0).all()
        radius = 500 * 0.1 / (5.2 - 0.4)
        assert cover.sum() == pytest.approx(np.pi * radius**2, rel=0.05)


@pytest.mark.parametrize("palette", PALETTES)
def test_colours_are_colours(torus, palette):
    shades = colour(torus, palette)
    assert shades.shape == torus.shape and shades.min() >= 0 and shades.max() <= 1
    single = colour(torus[:1], palette)
    assert np.isfinite(single).all()


def test_an_unknown_palette_is_an_error(torus):
    with pytest.raises(ValueError, match="colors: expected one of position, height, depth, plain"):
        draw([torus], colors="rainbow")


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.full((2048, 3), 1e30), np.eye(3) * 1e-30])
def test_odd_clouds_are_drawn(points):
    drawn = (pixels(draw([points], size=48)) < 200).any(axis=2).mean()
    assert 0.001 < drawn < 0.2


def test_a_broken_cloud_is_named(torus):
    with pytest.raises(ValueError, match=r"clouds\[1\]"):
        draw([torus, torus * np.nan])
    with pytest.raises(ValueError, match="size"):
        draw([torus], size=2)


def test_the_file_is_the_picture(torus, tmp_path):
    path = tmp_path / "torus.png"
    save_png(path, [torus], size=64)
    with Image.open(path) as saved:
        assert saved.format == "PNG"
        assert saved.tobytes() == draw([torus], size=64).tobytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["torus.png"]
