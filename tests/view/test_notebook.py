import html
import re
import subprocess
import sys
import types

from pointgen import view
from pointgen.view.notebook import inline, is_running
from pointgen.view.page import page


def test_a_notebook_gets_the_page_in_a_frame_of_its_own(torus):
    frame = inline([torus], captions=['"torus"'])._repr_html_()
    source = re.fullmatch(r'<iframe srcdoc="([^"]*)" sandbox="([^"]*)".*</iframe>', frame)
    assert html.unescape(source[1]) == page([torus], title="", captions=['"torus"'])
    assert source[2] == "allow-scripts allow-downloads"


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
