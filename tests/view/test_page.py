import base64
import json
import re
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from pointgen.view.page import page, save_page

HOSTILE = "</script><img src=x onerror='window.hacked = 1'>&amp;<!-- @data@ \u2028 \"'"
SWITCHES = (
    "--headless --no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --enable-logging=stderr --v=0 --dump-dom --virtual-time-budget=6000 "
    "--window-size=900,700"
)

# Uses the page as a person would, and leaves what came of it where the test can read it.
PROBE = """<pre id="probe"></pre><script>
(async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const picture = async () => {
    dispatchEvent(new Event("resize"));  // has a frame drawn, right before the promise is kept
    await frame();
    const source = document.querySelector("canvas"), copy = document.createElement("canvas");
    [copy.width, copy.height] = [source.width, source.height];
    const brush = copy.getContext("2d", { willReadFrequently: true });
    brush.drawImage(source, 0, 0);
    const data = brush.getImageData(0, 0, copy.width, copy.height).data;
    const paper = [...data.slice(0, 3)];
    let drawn = 0, sum = 0;
    for (let i = 0; i < data.length; i += 4) {
      const off = [0, 1, 2].reduce((s, c) => s + Math.abs(data[i + c] - paper[c]), 0);
      drawn += off > 24;
      sum = (31 * sum + data[i] + 7 * data[i + 1] + 13 * data[i + 2]) % 2147483647;
    }
    return [drawn, sum];
  };
  const touch = (kind, target, x, y) => target.dispatchEvent(new PointerEvent(kind,
    { bubbles: true, pointerId: 1, pointerType: "mouse", clientX: x, clientY: y }));
  const cards = document.querySelectorAll(".card"), result = {};
  result.captions = [...cards].map((card) => card.querySelector(".name").textContent);
  result.title = document.title;
  result.first = await picture();
  result.again = await picture();
  touch("pointerdown", cards[0], 100, 200); touch("pointermove", cards[0], 180, 215);
  touch("pointerup", cards[0], 180, 215);
  result.dragged = await picture();
  result.enlargedByDrag = document.body.classList.contains("enlarged");
  document.querySelector("#reset").click();
  result.reset = await picture();
  document.querySelector("#colour").value = "1";
  result.recoloured = await picture();
  document.querySelector("#size").value = "3";
  result.thicker = await picture();
  touch("pointerdown", cards[1], 400, 200); touch("pointerup", cards[1], 400, 200);
  result.enlargedByClick = document.body.classList.contains("enlarged");
  result.enlarged = await picture();
  document.querySelector("#large").dispatchEvent(
    new WheelEvent("wheel", { deltaY: 600, bubbles: true, cancelable: true }));
  result.farther = await picture();
  dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
  result.closed = !document.body.classList.contains("enlarged");
  result.hacked = window.hacked || 0;
  result.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  document.querySelector("#probe").textContent = JSON.stringify(result);
})();
</script></body>"""


class Probe(HTMLParser):
    """Reads the text of the element that the probe wrote, and what of the page is hidden."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.text, self.hidden = False, "", {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.inside = self.inside or names.get("id") == "probe"
        self.hidden[names.get("id", tag)] = "hidden" in names

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        self.text += data if self.inside else ""


def browse(text, folder):
    """What Chromium makes of a page: its document, and the lines it wrote to the console."""
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    command = [
        "chromium",
        *SWITCHES.split(),
        f"--user-data-dir={folder / 'profile'}",
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Probe(done.stdout), console


def embedded(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.mark.needs("chromium")
def test_a_browser_shows_turns_and_enlarges(torus, chair, tmp_path):
    text = page([torus, chair], title=HOSTILE, captions=[HOSTILE, "chair"])
    probe, console = browse(text.replace("</body>", PROBE), tmp_path)
    assert console == []
    result = json.loads(probe.text)
    assert result["requests"] == [] and result["hacked"] == 0
    assert result["captions"] == [HOSTILE, "chair"]
    assert result["title"].split() == HOSTILE.split()

    assert result["first"][0] > 3000
    assert result["again"] == result["first"]
    assert result["dragged"][1] != result["first"][1] and result["dragged"][0] > 3000
    assert result["reset"] == result["first"]
    assert result["recoloured"][1] != result["first"][1]
    assert result["thicker"][0] > 1.1 * result["first"][0]
    assert not result["enlargedByDrag"] and result["enlargedByClick"] and result["closed"]
    assert 0 < result["farther"][0] < result["enlarged"][0]


@pytest.mark.needs("chromium")
def test_without_webgl_the_page_says_so(torus, tmp_path):
    blind = "<head><script>HTMLCanvasElement.prototype.getContext = () => null;</script>"
    text = page([torus], title="blind").replace("<head>", blind)
    probe, console = browse(text, tmp_path)
    assert console == []
    assert probe.hidden["main"] and not probe.hidden["trouble"]


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
