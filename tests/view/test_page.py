import base64
import json
import re

import numpy as np
import pytest

from pointgen.view.clouds import Shape
from pointgen.view.page import page, save_page

STEP = 1 / 131070  # half of one in sixteen bits


def embedded(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def content(cloud):
    """The parts of a cloud's bytes by name."""
    count, way = cloud["count"], cloud["way"]
    sizes = {"points": 6, "start": 6 if way else 0, "light": 1}
    sizes["colours"] = 3 if cloud["coloured"] else 0
    sizes["bends"] = 3 * len(way["bends"]) if way else 0
    rest, parts = base64.b64decode(cloud["bytes"]), {}
    for name, size in sizes.items():
        parts[name], rest = rest[: size * count], rest[size * count :]
    assert not rest
    return parts


def test_the_points_survive_to_the_stated_precision(torus, chair):
    data = embedded(page([torus * 5 + 3, chair], title=""))
    assert data["largest"] == pytest.approx(np.ptp(torus, axis=0).max() * 5)
    for cloud, points in zip(data["clouds"], (torus * 5 + 3, chair), strict=True):
        parts = content(cloud)
        assert not parts["start"] + parts["colours"] + parts["bends"]
        steps = np.frombuffer(parts["points"], "<u2").reshape(-1, 3)
        side = np.ptp(points, axis=0)
        restored = cloud["low"] + steps / 65535 * cloud["side"]
        assert (np.abs(restored - points) <= side * STEP + 1e-6).all()
        light = np.frombuffer(parts["light"], "u1")
        assert light.max() == 255 and light.min() < 200  # open outside, darker in the crevices


@pytest.mark.parametrize(("turns", "most"), [(0, 0), (0.1, 7), (0.5, 15)])
def test_a_way_keeps_as_few_bends_as_it_needs(torus, turns, most, winding):
    frames = winding(torus, turns)
    data = embedded(page([Shape(torus, frames=frames)], title=""))
    cloud, largest = data["clouds"][0], data["largest"]
    way, parts = cloud["way"], content(cloud)
    count = len(way["bends"])
    assert most // 2 <= count <= most
    restored = decoded(way, parts, torus, largest)
    wanted = frames[:: 32 // (count + 1)]
    # one in 510 of the box of a bend, or one in 131070 of that of the start
    boxes = np.array([[0.0] * 6, *way["bends"], [0.0] * 6])[:, None, 3:] * largest
    assert (np.abs(restored - wanted) <= boxes / 510 + 1e-3).all()
    # between them it is never far from a frame, in radii of a sphere
    at = np.linspace(0, count + 1, 33)
    before = np.minimum(at.astype(int), count)
    share = (at - before)[:, None, None]
    straight = (1 - at / (count + 1))[:, None, None]
    line = straight * restored[0] + (1 - straight) * torus
    knots = restored - np.linspace(restored[0], torus, count + 2)
    bends = (1 - share) * knots[before] + share * knots[before + 1]
    error = np.linalg.norm(line + bends - frames, axis=2).max()
    assert error < 0.5 * cloud["radius"] * largest


def decoded(way, parts, points, largest):
    """The frames at the ends of the pieces, data units, as a reader of the page finds them."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    end = (points - middle) / largest
    start = unboxed(way["start"], np.frombuffer(parts["start"], "<u2") / 65535)
    pieces = len(way["bends"]) + 1
    frames = [start]
    steps = np.frombuffer(parts["bends"], "u1").reshape(pieces - 1, 3 * len(points)) / 255
    for index, (box, places) in enumerate(zip(way["bends"], steps, strict=True), 1):
        t = index / pieces
        frames.append((1 - t) * start + t * end + unboxed(box, places))
    return np.stack([*frames, end]) * largest + middle


def unboxed(box, places):
    return box[:3] + places.reshape(-1, 3) * box[3:]


def test_one_frame_is_no_way_and_the_last_is_the_cloud(torus):
    alone = embedded(page([Shape(torus, frames=torus[None])], title=""))
    assert alone == embedded(page([torus], title=""))
    frames = np.stack([torus + 1, torus + 0.5, torus + 9])
    way = embedded(page([Shape(torus, frames=frames)], title=""))
    assert way["clouds"][0]["way"]["bends"] == []
    assert content(way["clouds"][0])["points"] == content(alone["clouds"][0])["points"]


def test_a_page_of_a_hundred_clouds_stays_small(torus):
    alone, three = (len(page([torus] * count, title="").encode()) for count in (1, 3))
    assert alone < 60_000
    assert alone + 99 * (three - alone) / 2 < 2_000_000


def test_the_page_names_no_address(torus):
    text = page([torus], title="torus")
    program = re.sub(r'"bytes": "[^"]*"', "", text)
    assert not re.search(r"""https?:|["'(]//|@import|url\(""", program)
    assert "default-src 'none'" in text  # and the browser would refuse any


def test_text_cannot_leave_its_place(torus, hostile):
    text = page([torus], title=hostile, captions=[hostile])
    plain = page([torus], title="", captions=[""])
    for mark in ("<script", "</script", "<img", "<!--"):
        assert text.count(mark) == plain.count(mark)
    assert embedded(text)["clouds"][0]["caption"] == hostile


@pytest.mark.parametrize("points", [np.zeros((1, 3)), np.full((9, 3), 1e30), np.eye(3) * 1e-30])
def test_odd_clouds_make_a_page_of_finite_numbers(points):
    text = page([Shape(points, frames=np.stack([points + 1, points, points]))], title="")
    assert "NaN" not in text and "Infinity" not in text.split('id="data"')[1].split("</script>")[0]
    assert 0 < embedded(text)["reach"] < 2


def test_a_broken_cloud_is_named(torus):
    with pytest.raises(ValueError, match=r"clouds\[1\]"):
        page([torus, torus * np.inf], title="")
    with pytest.raises(ValueError, match="captions"):
        page([torus], title="", captions=["a", "b"])


def test_the_file_is_the_page(torus, tmp_path):
    save_page(tmp_path / "a.html", [torus], title="Ä", captions=["é"])
    text = page([torus], title="Ä", captions=["é"])
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("count", "size"), [(65536, 2), (65537, 4)])
def test_a_surface_keeps_its_triangles_and_the_colours_of_the_points_near(chair, count, size):
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-1, 1, (count, 3)).astype(np.float32)
    triangles = rng.integers(count, size=(100, 3))
    colours = rng.random((len(chair), 3))
    colours[:] = colours[0]
    shape = Shape(chair, colours=colours, surface=(vertices, triangles))
    surface = embedded(page(shape, title=""))["clouds"][0]["surface"]
    assert (surface["count"], surface["triangles"], surface["wide"]) == (count, 100, size == 4)
    rest, parts = base64.b64decode(surface["bytes"]), []
    for length in (6 * count, count, 3 * count, size * 300):
        parts.append(rest[:length])
        rest = rest[length:]
    assert not rest
    steps = np.frombuffer(parts[0], "<u2").reshape(-1, 3)
    restored = surface["low"] + steps / 65535 * np.array(surface["side"])
    assert (np.abs(restored - vertices) <= 2 * STEP + 1e-6).all()
    assert (np.frombuffer(parts[2], "u1").reshape(-1, 3) == np.round(255 * colours[0])).all()
    assert (np.frombuffer(parts[3], f"<u{size}").reshape(-1, 3) == triangles).all()


def test_a_surface_of_too_many_triangles_is_left_out(chair):
    surface = (chair, np.zeros((200_001, 3), int))
    cloud = embedded(page(Shape(chair, surface=surface), title=""))["clouds"][0]
    assert cloud["surface"] is None and cloud["count"] == len(chair)
