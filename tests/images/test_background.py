import numpy as np
import pytest

from pointgen.images.background import object_alpha

STOOL = np.zeros((200, 200), bool)
STOOL[60:80, 50:150] = STOOL[80:170, 55:65] = STOOL[80:170, 135:145] = STOOL[150:160, 65:135] = True


@pytest.mark.parametrize("ground", [(238, 240, 242), (255, 255, 255), (0, 0, 0), (30, 120, 200)])
@pytest.mark.parametrize("noise", [0.0, 2.0, 4.0])
def test_what_differs_from_plain_ground_is_the_object(photo, ground, noise):
    alpha = object_alpha(photo(ground, noise))
    assert alpha.shape == (200, 200)
    assert alpha.dtype == np.uint8
    np.testing.assert_array_equal(alpha > 127, STOOL)


def test_an_opening_stays_open_and_a_highlight_is_filled(photo):
    picture = photo()
    picture[65:68, 100:104] = (238, 240, 242)
    alpha = object_alpha(picture)
    np.testing.assert_array_equal(alpha > 127, STOOL)
    assert alpha[120, 100] == 0


def test_specks_are_dropped(photo):
    picture = photo()
    picture[20:22, 20:22] = 0
    np.testing.assert_array_equal(object_alpha(picture) > 127, STOOL)


def test_pieces_close_to_each_other_hang_together(photo):
    picture = photo()
    for row in range(20, 60, 5):
        picture[row : row + 2, 100] = (110, 70, 30)  # a dashed rod, three pixels between dashes
    alpha = object_alpha(picture)
    assert (alpha[20:60:5, 100] == 255).all()
    assert alpha[22, 100] == 0


def test_edges_are_soft():
    """Alpha rises with the distance from the ground's colour."""
    picture = np.full((50, 50, 3), 240, np.uint8)
    picture[10:40, 10:40] = np.linspace(240, 200, 30).astype(np.uint8)[:, None]
    alpha = object_alpha(picture)[25, 10:40].astype(int)
    assert alpha[0] == 0
    assert alpha[-1] == 255
    assert (np.diff(alpha) >= 0).all()
    assert len(np.unique(alpha)) > 5


def test_large_pictures_are_searched_at_their_size(photo):
    large = np.kron(photo(), np.ones((10, 10, 1), np.uint8))
    alpha = object_alpha(large)
    assert alpha.shape == (2000, 2000)
    assert np.mean((alpha > 127) != np.kron(STOOL, np.ones((10, 10), bool))) < 0.005


def test_an_object_may_touch_the_border_a_little(photo):
    picture = photo()
    picture[170:, 55:65] = picture[170:, 135:145] = (110, 70, 30)
    assert object_alpha(picture)[199, 60] == 255


@pytest.mark.parametrize(
    "picture",
    [
        np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8),
        np.tile(np.linspace(0, 255, 80).astype(np.uint8)[:, None, None], (1, 80, 3)),
        np.full((80, 80, 3), 128, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((4000, 3, 3), np.uint8),
        np.pad(np.zeros((1, 1, 3), np.uint8), ((40, 39), (40, 39), (0, 0)), constant_values=255),
    ],
    ids=["noise", "gradient", "one colour", "one pixel", "a line", "a speck"],
)
def test_other_pictures_tell_nothing(picture):
    assert object_alpha(picture) is None
