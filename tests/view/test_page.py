import base64
import json
import re

import numpy as np
import pytest

from pointgen.view.page import page, save_page

HOSTILE = "</script><img src=x onerror='window.hacked = 1'>&amp;<!-- @data@ \u2028 \"'"
# Put into the page after it has loaded: what its canvas shows, as a count and a checksum.
PICTURE = """
async function picture() {
  window.dispatchEvent(new Event("resize"));  // the page draws a frame, and the copy is made in it
  await new Promise((done) => requestAnimationFrame(done));
  const source = document.querySelector("canvas"), copy = document.createElement("canvas");
  [copy.width, copy.height] = [source.width, source.height];
  const brush = copy.getContext("2d", { willReadFrequently: true });
  brush.drawImage(source, 0, 0);
  const data = brush.getImageData(0, 0, copy.width, copy.height).data;
  let drawn = 0, sum = 0;
  for (let i = 0; i < data.length; i += 4) {
    drawn += [0, 1, 2].some((c) => Math.abs(data[i + c] - data[c]) > 8);
    sum = (31 * sum + data[i] + 7 * data[i + 1] + 13 * data[i + 2]) % 2147483647;
  }
  return [drawn, sum];
}
const isEnlarged = () => document.body.classList.contains("enlarged");
const choose = (id, value) => { document.querySelector(id).value = value; };
"""


def mouse(browser, kind, x, y, **more):
    browser.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def drag(browser, start, end):
    held = {"button": "left", "clickCount": 1}
    mouse(browser, "mousePressed", *start, **held)
    if end != start:
        mouse(browser, "mouseMoved", *end, **held, buttons=1)
    mouse(browser, "mouseReleased", *end, **held)


@pytest.fixture
def opened(browser, torus, chair, tmp_path):
    """A browser that shows a torus and a chair, with names that try to break out."""
    save_page(tmp_path / "page.html", [torus, chair], title=HOSTILE, captions=[HOSTILE, "chair"])
    browser.visit(tmp_path / "page.html")
    browser.run(PICTURE)
    return browser


@pytest.mark.needs("chromium")
def test_a_browser_draws_complains_of_nothing_and_asks_for_nothing(opened, tmp_path):
    drawn, checksum = opened.run("picture()")
    assert drawn > 5000
    assert opened.run("picture()") == [drawn, checksum]
    names = "[...document.querySelectorAll('.name')].map((name) => name.textContent)"
    assert opened.run(names) == [HOSTILE, "chair", ""]
    assert opened.run("document.title").split() == HOSTILE.split()
    assert opened.run("window.hacked || 0") == 0
    assert opened.complaints() == []
    assert opened.requests() == [(tmp_path / "page.html").as_uri()]


@pytest.mark.needs("chromium")
def test_a_drag_turns_and_the_choices_change_the_picture(opened):
    first = opened.run("picture()")
    drag(opened, (200, 250), (280, 250))
    turned = opened.run("picture()")
    assert turned[0] > 5000 and turned[1] != first[1]
    assert not opened.run("isEnlarged()")
    opened.run("document.querySelector('#reset').click()")
    assert opened.run("picture()") == first
    opened.run("choose('#colour', 1)")
    recoloured = opened.run("picture()")
    assert recoloured[1] != first[1] and abs(recoloured[0] - first[0]) < 0.05 * first[0]
    opened.run("choose('#size', 3)")
    assert opened.run("picture()")[0] > 1.1 * first[0]


@pytest.mark.needs("chromium")
def test_a_click_enlarges_and_the_wheel_zooms(opened):
    small = opened.run("picture()")
    drag(opened, (600, 250), (600, 250))
    assert opened.run("isEnlarged()")
    large = opened.run("picture()")
    mouse(opened, "mouseWheel", 400, 350, deltaX=0, deltaY=600)
    assert 0 < opened.run("picture()")[0] < 0.7 * large[0]
    opened.ask("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    opened.run("document.querySelector('#reset').click()")
    assert not opened.run("isEnlarged()")
    assert opened.run("picture()") == small


@pytest.mark.needs("chromium")
def test_without_webgl_the_page_says_so(browser, torus, tmp_path):
    save_page(tmp_path / "page.html", [torus], title="blind")
    browser.visit(tmp_path / "page.html", "HTMLCanvasElement.prototype.getContext = () => null")
    assert "WebGL" in browser.run("document.body.innerText")
    assert browser.run("document.querySelector('main').hidden")
    assert browser.complaints() == []


def embedded(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_points_survive_to_the_stated_precision(torus, chair):
    data = embedded(page([torus * 5 + 3, chair], title=""))
    largest = np.ptp(torus, axis=0).max() * 5
    for cloud, points in zip(data["clouds"], (torus * 5 + 3, chair), strict=True):
        content = base64.b64decode(cloud["points"])
        assert len(content) == 7 * len(points) == 7 * cloud["count"]
        steps = np.frombuffer(content[: 6 * len(points)], "<u2").reshape(-1, 3)
        side = np.ptp(points, axis=0)
        restored = points.min(axis=0) + steps / 65535 * side
        assert (np.abs(restored - points) <= side / 131070 + 1e-5).all()
        assert np.allclose(np.array(cloud["box"]) * largest, side, rtol=1e-4)
        light = np.frombuffer(content[6 * len(points) :], "u1")
        assert light.max() == 255 and light.min() < 200  # open outside, darker in the crevices


@pytest.mark.parametrize(("count", "limit"), [(16, 400_000), (100, 2_000_000)])
def test_the_page_stays_small(torus, count, limit):
    captions = [f"shape {index}" for index in range(count)]
    assert len(page([torus] * count, title="torus", captions=captions).encode()) < limit


def test_the_page_names_no_address(torus):
    text = page([torus], title="torus")
    program = re.sub(r'"points": "[^"]*"', "", text)
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
    data = embedded(page([points], title=""))
    assert np.isfinite(data["clouds"][0]["box"]).all() and 0 < data["reach"] < 2


def test_a_broken_cloud_is_named(torus):
    with pytest.raises(ValueError, match=r"clouds\[1\]"):
        page([torus, torus * np.inf], title="")
    with pytest.raises(ValueError, match="captions"):
        page([torus], title="", captions=["a", "b"])


def test_the_file_is_the_page(torus, tmp_path):
    save_page(tmp_path / "a.html", [torus], title="Ä", captions=["é"])
    text = page([torus], title="Ä", captions=["é"])
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == text
