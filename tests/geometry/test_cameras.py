import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointgen.geometry.cameras import R2N2_FOCAL, ViewCamera, random_camera

cameras = st.builds(
    ViewCamera,
    st.floats(-720, 720),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.floats(1.01, 5),
    st.floats(0.5, 5),
)
SIZE = 137


@given(cameras)
def test_a_rotation_is_one_and_its_last_row_looks_back_to_the_camera(camera):
    rotation = camera.rotation
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert math.isclose(np.linalg.det(rotation), 1)
    assert np.allclose(rotation @ camera.centre, [0, 0, camera.distance])


@given(cameras)
def test_the_object_is_in_the_middle_of_the_picture(camera):
    pixels, depth = camera.project(np.zeros((1, 3)), SIZE)
    assert np.allclose(pixels, SIZE / 2)
    assert np.allclose(depth, camera.distance)


@given(cameras, st.integers(1, 40))
def test_rays_meet_what_their_pixel_shows(camera, size):
    origin, rays = camera.rays(size)
    assert np.allclose(np.linalg.norm(rays, axis=-1), 1)
    pixels, depth = camera.project((origin + 2.5 * rays).reshape(-1, 3), size)
    middles = np.arange(size) + 0.5
    expected = np.stack(np.meshgrid(middles, middles), axis=-1)  # x, y by row and column
    assert np.allclose(pixels.reshape(size, size, 2), expected)
    assert (depth > 0).all()


def test_the_convention_by_hand():
    camera = ViewCamera(azimuth=0, elevation=0, distance=2)
    assert np.allclose(camera.centre, [2, 0, 0])
    # from +x, with y up, what lies at -z is on the right
    assert np.allclose(camera.rotation, [[0, 0, -1], [0, 1, 0], [1, 0, 0]])
    pixels, depth = camera.project(np.array([[0, 0.1, 0], [0, 0, -0.1], [0.5, 0, 0]]), 100)
    shift = 50 * R2N2_FOCAL * 0.1 / 2
    assert np.allclose(pixels, [[50, 50 - shift], [50 + shift, 50], [50, 50]])
    assert np.allclose(depth, [2, 2, 1.5])
    assert np.allclose(ViewCamera(90, 0, distance=2).centre, [0, 0, 2])
    assert np.allclose(ViewCamera(30, 90, distance=2).centre, [0, 2, 0])


def test_a_roll_turns_the_camera_anticlockwise_and_so_the_picture_clockwise():
    above = np.array([[0, 0.1, 0]])
    pixels, _ = ViewCamera(0, 0, roll=90, distance=2).project(above, 100)
    assert pixels[0, 0] > 55
    assert math.isclose(pixels[0, 1], 50)


def test_lines_of_both_kinds():
    ratio = ViewCamera.parse("215.5 27.25 0 0.8 25")
    assert (ratio.distance, ratio.focal) == (0.8 * 1.75, 35 / 16)
    absolute = ViewCamera.parse("262.7193 10.7149 0 2.6462 25\n")
    assert absolute.distance == 2.6462
    assert math.isclose(absolute.focal, 1 / math.tan(math.radians(12.5)))
    assert ratio.line() == "215.5 27.25 0 0.8 25"
    assert absolute.line() == "262.7193 10.7149 0 2.6462 25"


@given(cameras)
def test_what_is_written_is_read(camera):
    again = ViewCamera.parse(camera.line())
    for name in ("azimuth", "elevation", "roll", "distance", "focal"):
        assert math.isclose(getattr(again, name), getattr(camera, name), rel_tol=1e-9, abs_tol=1e-9)


def test_random_cameras_are_those_of_3d_r2n2_and_survive_their_file():
    rng = np.random.default_rng(0)
    drawn = [random_camera(rng) for _ in range(300)]
    azimuths = [camera.azimuth for camera in drawn]
    assert 0 <= min(azimuths) < 20
    assert 340 < max(azimuths) < 360
    for camera in drawn:
        assert 25 <= camera.elevation <= 30
        assert 0.65 * 1.75 <= camera.distance <= 0.95 * 1.75
        assert camera.roll == 0
        again = ViewCamera.parse(camera.line())
        assert again.focal == camera.focal == 35 / 16
        assert np.allclose(again.centre, camera.centre)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "expected 5 numbers .azimuth.*got 0"),
        ("1 2 0 0.8", "expected 5 numbers .*got 4"),
        ("1 2 0 0.8 25 3", "got 6"),
        ("1 2 0 far 25", "got '1 2 0 far 25'"),
        ("1 nan 0 0.8 25", "expected finite numbers"),
        ("1 2 0 inf 25", "expected finite numbers"),
        ("1 95 0 0.8 25", "elevation: expected -90 to 90 degrees, got 95"),
        ("1 2 0 -0.8 25", "above 0"),
        ("1 2 0 2 180", "fov: .*got 180"),
    ],
)
def test_damaged_lines_are_refused(line, message):
    with pytest.raises(ValueError, match=message):
        ViewCamera.parse(line)


def test_a_camera_that_no_line_can_hold():
    with pytest.raises(ValueError, match="expected above 1 with another lens"):
        ViewCamera(0, 0, distance=0.9, focal=4).line()
