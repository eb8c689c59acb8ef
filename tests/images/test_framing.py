import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointgen.images import framed
from pointgen.images.framing import visible_box

RED, WHITE = np.array([200, 20, 20]) / 255, np.ones(3)


def cover(picture):
    """How much of each pixel (size, size) is object, where that is red on white."""
    return (1 - picture[1].astype(float)) / (1 - RED[1])


def centre(picture):
    weight = cover(picture)
    rows, columns = np.mgrid[: len(weight), : len(weight)] + 0.5
    return (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()


def test_the_result_is_a_picture_for_a_network(disc):
    picture = framed(disc(), 64)
    assert picture.shape == (3, 64, 64)
    assert picture.dtype == np.float32
    assert picture.flags.c_contiguous
    assert picture.min() >= 0
    assert picture.max() <= 1


@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 255, 255), (0, 255, 0)])
@pytest.mark.parametrize("size", [16, 64, 200])
def test_colours_hidden_in_transparent_pixels_never_show(disc, hidden, size):
    """Every pixel lies on the segment between the object's colour and the background's."""
    picture = framed(disc(hidden=hidden, radius=40), size).reshape(3, -1).T
    share = (picture - WHITE) @ (RED - WHITE) / ((RED - WHITE) @ (RED - WHITE))
    off = np.abs(picture - (WHITE + share[:, None] * (RED - WHITE)))
    assert off.max() < 1.5 / 255
    assert share.min() > -0.01
    assert share.max() < 1.01
    assert np.mean(share > 0.99) > 0.3


def test_the_background_is_the_one_asked_for(disc):
    picture = framed(disc(), 32, background=(0.25, 0.5, 0.75))
    np.testing.assert_allclose(picture[:, 0, 0], (0.25, 0.5, 0.75), atol=1e-6)
    np.testing.assert_allclose(picture[:, 16, 16], RED, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(25, 275), st.floats(25, 175), st.sampled_from([32, 63, 96]))
def test_where_the_object_stands_and_how_large_it_is_do_not_matter(row, column, size):
    rows, columns = np.mgrid[:300, :200] + 0.5
    reach = min(row, 300 - row, column, 200 - column)
    rgba = np.full((300, 200, 4), (200, 20, 20, 255), np.uint8)
    inside = np.clip(reach - np.hypot(rows - row, columns - column) + 0.5, 0, 1)
    rgba[..., 3] = np.round(255 * inside)
    picture = framed(rgba, size)
    pixel = 1.2 * 2 * reach / size  # one of the result in pixels of the source
    assert centre(picture) == pytest.approx((size / 2, size / 2), abs=0.6 / pixel + 0.05)
    # The object's side is 1 / (1 + 2 margin) of the picture's.
    radius = np.sqrt(cover(picture).sum() / np.pi)
    assert radius == pytest.approx(size / 2 / 1.2, abs=0.6 / pixel + 0.05 + 0.02 * size)


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5, -0.2])
def test_the_margin_is_a_share_of_the_object(margin):
    rgba = np.zeros((100, 100, 4), np.uint8)
    rgba[40:60, 30:70] = (200, 20, 20, 255)  # 40 wide, 20 high
    got = cover(framed(rgba, 100, margin=margin))
    share = 1 / (1 + 2 * margin)
    assert got.mean() == pytest.approx(min(share, 1) * share / 2, rel=0.03)


def test_without_crop_the_whole_picture_is_padded_to_a_square(disc):
    rgba = disc(60, 120, centre=(30, 20), radius=15)
    picture = framed(rgba, 120, crop=False)
    assert centre(picture) == pytest.approx((60, 20), abs=0.05)
    assert cover(picture).sum() == pytest.approx(np.pi * 15**2, rel=0.01)


def test_a_picture_of_the_right_size_is_not_touched(disc):
    rgba = disc(64, 64, (32, 32), 20)
    alpha = rgba[..., 3:] / 255
    expected = (rgba[..., :3] / 255 * alpha + 1 - alpha).transpose(2, 0, 1)
    np.testing.assert_allclose(framed(rgba, 64, crop=False), expected, atol=1.1 / 255)


def test_the_window_moves_by_shares_of_its_side(disc):
    usual, moved = framed(disc(), 100), framed(disc(), 100, shift=(0.05, -0.04))
    assert np.subtract(centre(moved), centre(usual)) == pytest.approx((4, -5), abs=0.1)


def test_small_pictures_are_averages_of_large_ones():
    """Fine stripes become grey, not coarser stripes."""
    rgba = np.full((700, 700, 4), 255, np.uint8)
    rgba[:, ::2, :3] = 0
    picture = framed(rgba, 64, crop=False)
    np.testing.assert_allclose(picture, 0.5, atol=0.08)


@pytest.mark.parametrize("shape", [(1, 1), (4000, 3), (3, 4000), (1, 60000), (2, 1)])
@pytest.mark.parametrize("crop", [True, False])
def test_extreme_shapes_keep_their_area(shape, crop):
    rgba = np.full((*shape, 4), (0, 0, 0, 255), np.uint8)
    dark = 1 - framed(rgba, 64, crop=crop, margin=0.5).astype(float)
    share = min(shape) / max(shape) / (4 if crop else 1)
    # Eight bits round what is thinner than half a level.
    assert dark.mean() == pytest.approx(share, rel=0.02, abs=0.5 / 255)
    assert dark.max() > 0 or share < 1e-3


def test_faint_pixels_are_no_object(disc):
    rgba = disc()
    rgba[5, 5, 3] = 20
    assert visible_box(rgba) == visible_box(disc()) == (38, 38, 98, 98)


def test_nothing_visible(disc):
    rgba = disc()
    rgba[..., 3] = 0
    assert visible_box(rgba) is None
    assert (framed(rgba, 8, crop=False) == 1).all()
    with pytest.raises(ValueError, match="nothing is visible"):
        framed(rgba, 8)


@pytest.mark.parametrize(
    ("rgba", "options", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), {}, r"rgba: expected \(H, W, 4\) uint8, got \(4, 4, 3\)"),
        (np.zeros((4, 4, 4)), {}, "float64"),
        (np.zeros((0, 4, 4), np.uint8), {}, "rgba"),
        (np.full((4, 4, 4), 255, np.uint8), {"size": 0}, "size: expected at least 1"),
        (np.full((4, 4, 4), 255, np.uint8), {"margin": -0.5}, "margin: expected"),
        (np.full((4, 4, 4), 255, np.uint8), {"margin": float("nan")}, "margin: expected"),
    ],
)
def test_wrong_arguments_are_told(rgba, options, message):
    with pytest.raises(ValueError, match=message):
        framed(rgba, **{"size": 8} | options)
