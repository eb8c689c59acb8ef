import base64
import io
import re

from PIL import Image

from pointgen.view.report import Picture, Section, Table, report, save_report

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
