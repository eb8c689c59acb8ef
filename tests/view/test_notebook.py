import html
import re
import subprocess
import sys
import types

import pytest

from pointgen import view
from pointgen.view.notebook import inline, is_running
from pointgen.view.page import page


def test_a_notebook_gets_the_page_in_a_frame_of_its_own(torus):
    frame = inline([torus], captions=['"torus"'])._repr_html_()
    source = re.fullmatch(r'<iframe srcdoc="([^"]*)" sandbox="([^"]*)".*</iframe>', frame)
    assert html.unescape(source[1]) == page([torus], title="", captions=['"torus"'])
    assert source[2] == "allow-scripts allow-downloads"


@pytest.mark.needs("chromium")
def test_the_page_in_the_frame_turns_and_hands_out_its_cloud(browser, eventually, torus, tmp_path):
    browser.screen(900, 540)
    (tmp_path / "cell.html").write_text("<body style='margin: 0'>" + inline([torus])._repr_html_())
    browser.save_to(tmp_path)
    browser.visit(tmp_path / "cell.html")
    first = browser.picture()
    browser.drag((400, 300), (450, 300))
    eventually(lambda: browser.picture() != first)
    browser.drag((450, 300), (450, 300))  # enlarged, it has one button below
    browser.drag((450, 485), (450, 485))
    eventually((tmp_path / "shape 1.ply").exists)
    assert browser.complaints() == []


def test_show_asks_where_it_runs(torus, monkeypatch):
    shown = []
    assert not is_running()
    kernel = types.SimpleNamespace(get_ipython=lambda: object())
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=shown.append))
    assert is_running()
    view.show(torus)
    assert "iframe" in shown[0]._repr_html_()
    monkeypatch.delitem(sys.modules, "ipykernel")
    monkeypatch.setattr("pointgen.view.window.show", lambda clouds, captions: shown.append(clouds))
    view.show(torus)
    assert shown[1] is torus


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, pointgen; before = set(sys.modules); import pointgen.view;"
        "heavy = {'numpy', 'PIL', 'scipy', 'torch', 'open3d', 'IPython'};"
        "assert not heavy & (set(sys.modules) - before)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
