import base64
import json
import re
import time

import numpy as np
import pytest

from pointgen.files import read_clouds
from pointgen.files.ply import read_ply
from pointgen.view.clouds import Shape
from pointgen.view.page import page, save_page

HOSTILE = "</script><img src=x onerror='window.hacked = 1'>&amp;<!-- @data@ \u2028 \"'"
# Put into the page after it has loaded: what its canvas shows, as a count of the pixels that are
# not background, a checksum, and the middle of those pixels.
PICTURE = """
async function picture() {
  window.dispatchEvent(new Event("resize"));  // the page draws a frame, and the copy is made in it
  await new Promise((done) => requestAnimationFrame(done));
  const source = document.querySelector("canvas"), copy = document.createElement("canvas");
  [copy.width, copy.height] = [source.width, source.height];
  const brush = copy.getContext("2d", { willReadFrequently: true });
  brush.drawImage(source, 0, 0);
  const data = new Uint32Array(brush.getImageData(0, 0, copy.width, copy.height).data.buffer);
  let drawn = 0, sum = 0, x = 0, y = 0;
  for (let i = 0; i < data.length; i++) {
    sum = Math.imul(31, sum) + data[i] | 0;
    if (data[i] === data[0]) continue;
    drawn += 1;
    x += i % copy.width;
    y += Math.floor(i / copy.width);
  }
  return [drawn, sum, x / drawn, y / drawn];
}
const isEnlarged = () => document.body.classList.contains("enlarged");
const click = (id) => document.querySelector(id).click();
const valueOf = (id) => document.querySelector(id).value;
function choose(id, value) {
  document.querySelector(id).value = value;
  document.querySelector(id).dispatchEvent(new Event("input"));
}
"""
SHIFT = 8
WIDE = (1280, 360)  # all choices fit one row, with flow time among them or not
STEP = 1 / 131070  # half of one in sixteen bits


def winding(points, turns=0.5, count=33):
    """Frames (count, N, 3) from noise to points, by some turns around the vertical axis."""
    t = np.linspace(0, 1, count)[:, None]
    noise = np.random.default_rng(2).normal(size=points.shape)
    x, y, z = np.moveaxis((1 - t[..., None]) * noise + t[..., None] * points, -1, 0)
    angle = (1 - t) * turns * 2 * np.pi
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * x + s * z, y, c * z - s * x], axis=-1).astype(np.float32)


@pytest.fixture
def opened(browser, torus, chair, tmp_path):
    """A browser that shows a torus and a chair, with names that try to break out."""
    return visit(browser, tmp_path, [torus, chair], title=HOSTILE, captions=[HOSTILE, "chair"])


def visit(browser, folder, clouds, title="shapes", captions=None):
    save_page(folder / "page.html", clouds, title=title, captions=captions)
    browser.visit(folder / "page.html")
    browser.run(PICTURE)
    return browser


@pytest.mark.needs("chromium")
def test_a_browser_draws_complains_of_nothing_and_asks_for_nothing(opened, tmp_path):
    first = opened.run("picture()")
    assert first[0] > 5000
    assert opened.run("picture()") == first
    names = "[...document.querySelectorAll('.name')].map((name) => name.textContent)"
    assert opened.run(names) == [HOSTILE, "chair"]
    assert opened.run("document.title").split() == HOSTILE.split()
    assert opened.run("window.hacked || 0") == 0
    assert opened.complaints() == []
    assert opened.requests() == [(tmp_path / "page.html").as_uri()]


@pytest.mark.needs("chromium")
def test_a_drag_turns_and_the_choices_change_the_picture(opened):
    first = opened.run("picture()")
    opened.drag((150, 200), (220, 200))
    turned = opened.run("picture()")
    assert turned[0] > 5000 and turned[1] != first[1]
    assert not opened.run("isEnlarged()")
    opened.run("click('#reset')")
    assert opened.run("picture()") == first
    sums = {first[1]}
    for palette in ("height", "depth", "plain"):
        opened.run(f"choose('#colour', '{palette}')")
        recoloured = opened.run("picture()")
        sums.add(recoloured[1])
        assert abs(recoloured[0] - first[0]) < 0.05 * first[0]
    assert len(sums) == 4
    opened.run("choose('#size', 3)")
    assert opened.run("picture()")[0] > 1.1 * first[0]


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(("button", "modifiers"), [("right", 0), ("middle", 0), ("left", SHIFT)])
def test_other_drags_move_the_shape_along_with_the_pointer(opened, button, modifiers):
    opened.run("enlarge(0)")
    first = opened.run("picture()")
    opened.drag((300, 250), (360, 220), button, modifiers)
    moved = opened.run("picture()")
    assert np.allclose(np.subtract(moved[2:], first[2:]), (60, -30), atol=1.5)
    assert opened.run("isEnlarged()") and opened.run("camera.azimuth") == 135
    opened.run("click('#reset')")
    assert opened.run("picture()") == first


@pytest.mark.needs("chromium")
def test_a_click_enlarges_and_the_wheel_zooms(opened):
    small = opened.run("picture()")
    opened.drag((450, 200), (450, 200))
    assert opened.run("isEnlarged()") and opened.run("valueOf('#shape')") == "1"
    large = opened.run("picture()")
    opened.mouse("mouseWheel", 300, 250, deltaX=0, deltaY=600)
    assert 0 < opened.run("picture()")[0] < 0.7 * large[0]
    opened.run("choose('#shape', 0); click('#reset')")
    other = opened.run("picture()")
    assert other[0] > 5000 and other[1] != large[1]
    opened.run("click('#close'); click('#reset')")
    assert not opened.run("isEnlarged()")
    assert opened.run("picture()") == small


@pytest.mark.needs("chromium")
def test_the_keyboard_does_it_all(browser, torus, chair, tmp_path):
    visit(browser, tmp_path, [Shape(torus, frames=winding(torus)), chair])
    browser.run("document.querySelector('.card').focus()")
    browser.press("Enter")
    assert browser.run("isEnlarged()") and browser.run("valueOf('#shape')") == "0"
    browser.press("ArrowLeft")
    assert browser.run("valueOf('#shape')") == "1"
    browser.press("ArrowRight")
    assert browser.run("valueOf('#shape')") == "0"
    first = browser.run("picture()")
    for key, modifiers in (("ArrowUp", SHIFT), ("ArrowRight", SHIFT), ("+", SHIFT)):
        browser.press(key, modifiers)
        assert browser.run("picture()")[1] != first[1]
        browser.press("0")
        assert browser.run("picture()") == first
    browser.press(" ")
    browser.wait("0 < valueOf('#time') && valueOf('#time') < 1")
    browser.press(" ")
    paused = browser.run("valueOf('#time')")
    time.sleep(0.1)
    assert browser.run("valueOf('#time')") == paused != "1"
    browser.press("Escape")
    assert not browser.run("isEnlarged()")
    assert browser.run("document.activeElement.className") == "card"


@pytest.mark.needs("chromium")
def test_flow_time_leads_from_noise_to_the_very_shape(browser, torus, chair, tmp_path):
    browser.screen(*WIDE)
    still = visit(browser, tmp_path, [torus, chair]).run("picture()")
    visit(browser, tmp_path, [Shape(torus, frames=winding(torus)), chair])
    assert browser.run("picture()") == still
    seen = [still]
    for moment in (0.5, 0.51, 0):
        browser.run(f"choose('#time', {moment})")
        seen.append(browser.run("picture()"))
    assert len({checksum for _, checksum, *_ in seen}) == 4
    assert seen[-1][0] != seen[0][0]
    browser.run("choose('#time', 0.97); click('#play')")
    browser.wait("valueOf('#time') === '1'")
    assert browser.run("playing") is False
    assert browser.run("picture()") == still
    assert browser.complaints() == []


@pytest.mark.needs("chromium")
def test_noise_lies_where_the_frames_say(browser, torus, chair, tmp_path):
    """A page at time 0 draws what a page of the first frame alone draws."""
    browser.screen(*WIDE)
    corners = np.array([[-1, -1, -1], [1, 1, 1]], np.float32)  # the same box, hence the same scale
    noise = np.concatenate([corners, chair[:500] - chair.mean(axis=0)])
    points = np.concatenate([corners, torus[:500] * 0.7])
    wanted = visit(browser, tmp_path, [noise]).run("picture()")
    visit(browser, tmp_path, [Shape(points, frames=np.stack([noise, points]))])
    browser.run("choose('#time', 0)")
    found = browser.run("picture()")
    assert np.allclose(found[2:], wanted[2:], atol=0.5)
    assert found[0] == pytest.approx(wanted[0], rel=0.01)


@pytest.mark.needs("chromium")
def test_a_shape_can_be_taken_away_as_ply(browser, torus, chair, tmp_path):
    colours = np.random.default_rng(3).random((2048, 3))
    shapes = [torus, Shape(5 * chair + 100, colours=colours, frames=winding(chair))]
    visit(browser, tmp_path, shapes, captions=["../torus?", "a chair"])
    folder = tmp_path / "downloads"
    browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.run("enlarge(0); click('#download'); enlarge(1); click('#download')")
    files = [folder / "_._torus_.ply", folder / "a chair.ply"]
    until = time.monotonic() + 20
    while not all(file.exists() for file in files) and time.monotonic() < until:
        time.sleep(0.05)
    for file, points in zip(files, (torus, 5 * chair + 100), strict=True):
        found = read_clouds(file)[0].points
        error = np.ptp(points, axis=0) * STEP + np.spacing(np.abs(points).max())
        assert (np.abs(found - points) <= error).all()
    vertex = read_ply(files[1])["vertex"]
    found = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
    assert (found == np.round(255 * colours)).all()
    assert "red" not in read_ply(files[0])["vertex"]
    assert browser.complaints() == []


@pytest.mark.needs("chromium")
def test_colours_that_came_are_shown_first(browser, torus, tmp_path):
    red = np.tile([[1.0, 0.0, 0.0]], (len(torus), 1))
    visit(browser, tmp_path, [Shape(torus, colours=red), torus])
    mixed = browser.run("picture()")
    assert browser.run("valueOf('#colour')") == "given"
    browser.run("choose('#colour', 'position')")
    assert browser.run("picture()")[1] != mixed[1]
    # a shape without colours shows its places meanwhile
    browser.run("enlarge(1)")
    by_place = browser.run("picture()")
    browser.run("choose('#colour', 'given')")
    assert browser.run("picture()") == by_place
    visit(browser, tmp_path, [torus])
    assert browser.run("document.querySelector('#colour option[value=given]')") is None


@pytest.mark.needs("chromium")
def test_a_dark_scheme_is_dark(browser, torus, tmp_path):
    light = visit(browser, tmp_path, [torus]).run("picture()")
    browser.screen(640, 480, scheme="dark")
    dark = browser.run("picture()")
    assert dark[0] == pytest.approx(light[0], rel=0.1) and dark[1] != light[1]
    paper = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", paper)) < 50


@pytest.mark.needs("chromium")
def test_on_a_phone_fingers_scroll_the_gallery_and_turn_one_shape(browser, torus, tmp_path):
    browser.screen(390, 660, phone=True)
    visit(browser, tmp_path, [Shape(torus, frames=winding(torus))] + [torus] * 9)
    assert browser.run("document.documentElement.scrollWidth") == 390
    browser.touch([(200, 600 - 40 * i) for i in range(8)])
    browser.wait("window.scrollY > 100")
    assert browser.run("camera.elevation") == 28 and not browser.run("isEnlarged()")
    browser.touch([(100, 400)])
    browser.wait("isEnlarged()")
    first = browser.run("picture()")
    sizes = "[...document.querySelectorAll('button, select')].map((b) => b.offsetHeight)"
    assert min(browser.run(sizes)) >= 44
    browser.touch([(200, 300 + 20 * i) for i in range(4)])
    assert browser.run("camera.elevation") == pytest.approx(28 + 30)
    browser.run("click('#reset')")
    browser.touch(
        [(150 - 10 * i, 300 + 20 * i) for i in range(4)],
        [(250 + 10 * i, 300 + 20 * i) for i in range(4)],
    )
    assert browser.run("camera.zoom") == pytest.approx(1.6)
    moved = browser.run("picture()")
    assert moved[0] > 1.5 * first[0] and moved[3] > first[3] + 60
    assert browser.run("camera.azimuth") == 135
    assert browser.complaints() == []


@pytest.mark.needs("chromium")
def test_what_moves_too_slowly_is_coarse_until_it_rests(opened):
    first = opened.run("picture()")
    opened.run("pace.quality = QUALITIES.length - 1; click('#spin')")
    opened.wait("canvas.width < 0.7 * canvas.clientWidth")
    opened.run("click('#spin')")
    opened.wait("canvas.width >= canvas.clientWidth")
    opened.run("click('#reset')")
    assert opened.run("picture()") == first
    assert opened.complaints() == []


@pytest.mark.needs("chromium")
def test_a_lost_graphics_card_is_survived(opened):
    first = opened.run("picture()")
    opened.run("window.loss = gl.getExtension('WEBGL_lose_context'); loss.loseContext()")
    opened.wait("gl.isContextLost()")
    opened.run("loss.restoreContext()")
    opened.wait("!gl.isContextLost()")
    assert opened.run("picture()") == first


@pytest.mark.needs("chromium")
def test_without_webgl_the_page_says_so(browser, torus, tmp_path):
    save_page(tmp_path / "page.html", [torus], title="blind")
    browser.visit(tmp_path / "page.html", "HTMLCanvasElement.prototype.getContext = () => null")
    assert "WebGL" in browser.run("document.body.innerText")
    assert browser.run("document.querySelector('main').hidden")
    assert browser.complaints() == []


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
def test_a_way_keeps_as_few_bends_as_it_needs(torus, turns, most):
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
    two = embedded(page([Shape(torus, frames=np.stack([torus + 1, torus + 9]))], title=""))
    assert two["clouds"][0]["way"]["bends"] == []
    assert content(two["clouds"][0])["points"] == content(alone["clouds"][0])["points"]


def test_a_page_of_a_hundred_clouds_stays_small(torus):
    alone, three = (len(page([torus] * count, title="").encode()) for count in (1, 3))
    assert alone < 60_000
    assert alone + 99 * (three - alone) / 2 < 2_000_000


def test_the_page_names_no_address(torus):
    text = page([torus], title="torus")
    program = re.sub(r'"bytes": "[^"]*"', "", text)
    assert not re.search(r"""https?:|["'(]//|@import|url\(""", program)
    assert "default-src 'none'" in text  # and the browser would refuse any


def test_text_cannot_leave_its_place(torus):
    text = page([torus], title=HOSTILE, captions=[HOSTILE])
    plain = page([torus], title="", captions=[""])
    for mark in ("<script", "</script", "<img", "<!--"):
        assert text.count(mark) == plain.count(mark)
    assert embedded(text)["clouds"][0]["caption"] == HOSTILE


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
