import re
import time

import numpy as np
import pytest

from pointgen.files import read_clouds, read_surface
from pointgen.files.ply import read_ply
from pointgen.view.clouds import Shape
from pointgen.view.page import save_page

# Put into the page after it has loaded: what its canvas shows, as a count of the pixels that are
# not background, a checksum, and the middle of those pixels; or their colour left and right.
PICTURE = """
async function pixels() {
  window.dispatchEvent(new Event("resize"));  // the page draws a frame, and the copy is made in it
  await new Promise((done) => requestAnimationFrame(done));
  const source = document.querySelector("canvas"), copy = document.createElement("canvas");
  [copy.width, copy.height] = [source.width, source.height];
  const brush = copy.getContext("2d", { willReadFrequently: true });
  brush.drawImage(source, 0, 0);
  return brush.getImageData(0, 0, copy.width, copy.height);
}
async function picture() {
  const { data, width } = await pixels(), colours = new Uint32Array(data.buffer);
  let drawn = 0, sum = 0, x = 0, y = 0;
  for (let i = 0; i < colours.length; i++) {
    sum = Math.imul(31, sum) + colours[i] | 0;
    if (colours[i] === colours[0]) continue;
    drawn += 1;
    x += i % width;
    y += Math.floor(i / width);
  }
  return [drawn, sum, x / drawn, y / drawn];
}
async function sides() {
  const { data, width } = await pixels(), colours = new Uint32Array(data.buffer);
  const sums = [[0, 0, 0], [0, 0, 0]];
  for (let i = 0; i < colours.length; i++)
    if (colours[i] !== colours[0])
      for (const c of [0, 1, 2]) sums[i % width < width / 2 ? 0 : 1][c] += data[4 * i + c];
  return sums;
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


@pytest.fixture
def opened(browser, torus, chair, hostile, tmp_path):
    """A browser that shows a torus and a chair, with names that try to break out."""
    return visit(browser, tmp_path, [torus, chair], title=hostile, captions=[hostile, "chair"])


def visit(browser, folder, clouds, title="shapes", captions=None):
    save_page(folder / "page.html", clouds, title=title, captions=captions)
    browser.visit(folder / "page.html")
    browser.run(PICTURE)
    return browser


@pytest.mark.needs("chromium")
def test_a_browser_draws_complains_of_nothing_and_asks_for_nothing(opened, hostile, tmp_path):
    first = opened.run("picture()")
    assert first[0] > 5000
    assert opened.run("picture()") == first
    names = "[...document.querySelectorAll('.name')].map((name) => name.textContent)"
    assert opened.run(names) == [hostile, "chair"]
    assert opened.run("document.title").split() == hostile.split()
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
def test_other_drags_move_the_shape_along_with_the_pointer(opened):
    opened.run("enlarge(0)")
    first = opened.run("picture()")
    for button, modifiers in (("right", 0), ("middle", 0), ("left", SHIFT)):
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
def test_the_keyboard_does_it_all(browser, torus, chair, winding, tmp_path):
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
def test_flow_time_leads_from_noise_to_the_very_shape(browser, torus, chair, winding, tmp_path):
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
def test_on_their_way_points_lie_where_the_frames_say(browser, torus, chair, tmp_path):
    """At any time the page draws what a page of the points of that time draws."""
    browser.screen(*WIDE)
    corners = [[-1, -1, -1], [1, 1, 1]]  # always the same box, hence the same scale
    ways = (torus[:300] * 0.7, chair[:300], torus[300:600] * 0.3)
    frames = np.stack([np.concatenate([corners, way]) for way in ways])
    moments = {0: frames[0], 0.25: (frames[0] + frames[1]) / 2, 0.5: frames[1], 1: frames[2]}
    wanted = [visit(browser, tmp_path, [now]).run("picture()") for now in moments.values()]
    visit(browser, tmp_path, [Shape(frames[-1], frames=frames)])
    for moment, picture in zip(moments, wanted, strict=True):
        browser.run(f"choose('#time', {moment})")
        found = browser.run("picture()")
        assert np.allclose(found[2:], picture[2:], atol=0.5)
        assert found[0] == pytest.approx(picture[0], rel=0.01)


@pytest.mark.needs("chromium")
def test_depth_colours_what_is_near(browser, tmp_path):
    spread = np.random.default_rng(4).normal(size=(200, 3)) * 0.05
    side = np.repeat([[-0.5, 0, -0.5], [0.5, 0, 0.5]], 100, axis=0)  # far and left, near and right
    visit(browser, tmp_path, [side + spread])
    browser.run("choose('#colour', 'depth'); Object.assign(camera, { azimuth: 0, elevation: 0 })")
    left, right = browser.run("sides()")
    assert left[2] > 1.3 * left[0] and right[0] > 1.3 * right[2]  # from blue to yellow
    browser.run("camera.azimuth = 180")
    assert np.allclose(browser.run("sides()"), [left, right], rtol=0.1)  # the others are near now


@pytest.mark.needs("chromium")
def test_a_shape_can_be_taken_away_as_ply(browser, eventually, torus, chair, winding, tmp_path):
    colours = np.random.default_rng(3).random((2048, 3))
    shapes = [torus, Shape(5 * chair + 100, colours=colours, frames=winding(chair))]
    visit(browser, tmp_path, shapes, captions=["../torus?", "a chair"])
    folder = tmp_path / "downloads"
    browser.save_to(folder)
    browser.run("enlarge(0); click('#download'); enlarge(1); click('#download')")
    files = [folder / "_._torus_.ply", folder / "a chair.ply"]
    for file, points in zip(files, (torus, 5 * chair + 100), strict=True):
        eventually(file.exists)
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
    (redness, greenness, blueness), _ = browser.run("sides()")
    assert 0.03 * redness > max(greenness, blueness)  # which come from smooth rims
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
def test_a_surface_takes_the_place_of_its_points(browser, eventually, torus, tmp_path):
    """A square that stands to the right of the middle of its points, seen from the front."""
    vertices = np.array([[0, -1, 0], [1, -1, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 3, 2]])  # one of them seen from behind
    cloud = np.array([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1]])
    shape = Shape(cloud, colours=np.tile([[1.0, 0, 0]], (3, 1)), surface=(vertices, triangles))
    visit(browser, tmp_path, [shape])
    browser.run("enlarge(0)")
    browser.run("Object.assign(camera, { azimuth: 0, elevation: 0 })")
    as_surface = browser.run("picture()")
    left, right = browser.run("sides()")
    assert sum(left) == 0 and 0.03 * right[0] > max(right[1:])  # which come from smooth edges
    browser.run("click('#surfaces')")
    assert browser.run("picture()")[0] < as_surface[0] / 2  # three points
    browser.run("click('#surfaces')")
    assert browser.run("picture()") == as_surface

    browser.save_to(tmp_path / "downloads")
    browser.run("click('#download')")
    file = tmp_path / "downloads" / "shape 1.ply"
    eventually(file.exists)
    surface = read_surface(file)
    np.testing.assert_allclose(surface.vertices, vertices, atol=1e-6)
    assert (surface.faces == triangles).all()
    assert browser.complaints() == []

    visit(browser, tmp_path, [torus])
    assert browser.run("document.querySelector('#surfaces').parentElement.hidden")


@pytest.mark.needs("chromium")
def test_a_dark_scheme_is_dark(browser, torus, tmp_path):
    light = visit(browser, tmp_path, [torus]).run("picture()")
    browser.screen(640, 480, scheme="dark")
    dark = browser.run("picture()")
    assert dark[0] == pytest.approx(light[0], rel=0.1) and dark[1] != light[1]
    paper = browser.run("getComputedStyle(document.documentElement).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", paper)) < 50


@pytest.mark.needs("chromium")
def test_on_a_phone_fingers_scroll_or_turn(browser, torus, winding, tmp_path):
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
    opened.drag((150, 200), (220, 200))
    opened.wait("canvas.width < 0.7 * canvas.clientWidth")
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
