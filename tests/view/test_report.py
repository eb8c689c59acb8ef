import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from pointgen.view.curves import Chart, Line
from pointgen.view.report import Details, Grid, Picture, Section, Table, report, save_report

SECTIONS = [
    Section("A <b> & c", ["one <script>alert(1)</script>", Table(["x", "y"], [["1", "<2>"]])]),
    Section("Shapes", [Picture(Image.new("RGB", (4, 3), (255, 0, 0)), 'a "red" one')]),
]


def test_texts_are_text_and_the_page_needs_nothing_else():
    page = report("T <i>", SECTIONS)
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "<title>T &lt;i&gt;</title>" in page and "<td>&lt;2&gt;</td>" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page) and "http" not in page


def test_pictures_are_inside():
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', report("t", SECTIONS))
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.size == (4, 3) and image.getpixel((0, 0)) == (255, 0, 0)
    assert 'alt="a &quot;red&quot; one"' in report("t", SECTIONS)


def test_a_page_is_saved_whole(tmp_path):
    save_report(tmp_path / "new" / "a.html", "t", SECTIONS)
    assert (tmp_path / "new" / "a.html").read_text(encoding="utf-8") == report("t", SECTIONS)


def test_shaded_pictures_are_packed_smaller():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    whole = np.stack(np.broadcast_arrays(ramp[:, None], ramp, ramp[:, None] // 2), axis=-1)
    page = report("t", [Section("s", [Picture(Image.fromarray(whole), "ramp")])])
    (data,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)
    assert np.abs(found - whole).mean() < 3


CURVES = [
    Chart(
        "Loss <1>", [Line("train & co", range(9), range(9)), Line("val", [4], [2])], y_name="nats"
    ),
    Chart("Rate", [Line("", range(9), np.geomspace(1e-3, 1, 9))]),
]


def test_curves_and_pictures_stand_side_by_side():
    picture = Picture(Image.new("RGB", (4, 3)), "small")
    page = report("t", [Section("s", [CURVES[0], Grid([*CURVES, picture])])])
    assert page.count("<figure>") == 4 and page.count('role="img"') == 3
    assert "Loss &lt;1&gt;" in page and "train &amp; co 8" in page and "val 2" in page


def test_details_are_text():
    page = report("t", [Section("s", [Details("<a>", "x = 1\n<b>")])])
    assert "<summary>&lt;a&gt;</summary>" in page and "<pre>x = 1\n&lt;b&gt;</pre>" in page


@pytest.mark.needs("chromium")
def test_the_page_suits_a_phone_and_the_dark(browser, tmp_path):
    parts = ["text", Grid(CURVES), Table(["a"] * 9, [["a long cell"] * 9]), Details("d", "x" * 500)]
    save_report(tmp_path / "a.html", "t", [Section("s", parts)])
    size = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.ask("Emulation.setDeviceMetricsOverride", **size)
    colours = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.ask("Emulation.setEmulatedMedia", features=[feature])
        browser.visit(tmp_path / "a.html")
        style = "getComputedStyle(document.querySelector('polyline')).stroke"
        paper = "getComputedStyle(document.body).backgroundColor"
        colours.append((browser.run(style), browser.run(paper)))
        assert browser.run("document.documentElement.scrollWidth") <= 360
        assert not browser.complaints() and len(browser.requests()) == 1
    browser.ask("Emulation.clearDeviceMetricsOverride")
    browser.ask("Emulation.setEmulatedMedia", features=[])
    (light, white), (dark, black) = colours
    assert light != dark and white == "rgb(255, 255, 255)" and black != white
