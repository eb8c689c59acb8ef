"""Size, loading and frame rate of a page of clouds in headless Chromium, drawn by its processor.

python benchmarks/page.py [--shapes 100] [--points 2048] [--seconds 4]

There is no graphics card: SwiftShader draws, so that the rates are far below those of any device.
All shapes turn while pictures are counted; the best second is told. "Adaptive" is what a visitor
gets: a page that cannot follow at full resolution is coarser while it moves, here at so many
device pixels for one of the page. "First picture" is from the request to the drawn pixels.
"""

from __future__ import annotations

import argparse
import functools
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from time import perf_counter
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from pointgen.view.clouds import Shape
from pointgen.view.page import page

SWITCHES = (
    "--headless --no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--no-first-run --disable-background-networking --disable-component-update "
    "--window-size=1280,800"
)
# How far ways from noise wind around the vertical axis. Trained flows are nearly straight.
TURNS = {"with a nearly straight way": 0.02, "with a way that winds": 0.5}
# Added to a page: measures it and sends what it found by asking for another address.
MEASURE = """<script>
(async () => {
  const next = () => new Promise(requestAnimationFrame);
  const rate = async () => {
    let best = 0;
    for (let second = 0; second < SECONDS; second++) {
      const begun = performance.now();
      let pictures = 0;
      for (; performance.now() - begun < 1000; pictures++) await next();
      best = Math.max(best, 1000 * pictures / (performance.now() - begun));
    }
    return best.toFixed(1);
  };
  await next();
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));  // until all is drawn
  const found = { first: performance.now().toFixed(0) };
  $("#spin").click();
  found.gallery = await rate();
  found.ratio = (canvas.width / canvas.clientWidth).toFixed(1);
  enlarge(0);
  found.enlarged = await rate();
  enlarge(-1);
  QUALITIES.splice(1);
  found.full = await rate();
  location = "/found?" + new URLSearchParams(found);
})();
</script>
</body>"""


def main() -> None:
    """Print a table in Markdown, a row for each kind of shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", type=int, default=100)
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    heads = [
        f"{options.shapes} shapes of {options.points} points", "made in s", "MB", "bytes a point",
        "first picture, ms", "pictures/s at full resolution", "adaptive", "enlarged",
    ]  # fmt: skip
    print(f"| {' | '.join(heads)} |")
    print("| --- " * len(heads) + "|")
    for kind in ("points", "with colours", *TURNS):
        rng = np.random.default_rng(0)
        shapes = [build(kind, options.points, rng) for _ in range(options.shapes)]
        start = perf_counter()
        text = page(shapes, title=kind, captions=[f"shape {i}" for i in range(len(shapes))])
        seconds, size = perf_counter() - start, len(text.encode())
        found = measure(text, options.seconds)
        share = size / options.shapes / options.points
        print(
            f"| {kind} | {seconds:.1f} | {size / 1e6:.2f} | {share:.1f} | {found['first']} | "
            f"{found['full']} | {found['gallery']} at {found['ratio']} | {found['enlarged']} |",
            flush=True,
        )


def build(kind: str, count: int, rng: np.random.Generator) -> Shape:
    """Return a torus of some thickness; its kind says what comes with it."""
    around, across = rng.random((2, count)) * 2 * np.pi
    thin = rng.uniform(0.2, 0.5)
    ring = 1 + thin * np.cos(across)
    points = np.stack([ring * np.cos(around), thin * np.sin(across), ring * np.sin(around)], axis=1)
    colours = rng.random((count, 3)) if kind == "with colours" else None
    frames = None
    if kind in TURNS:
        frames = winding(rng.normal(size=(count, 3)), points, TURNS[kind])
    return Shape(points, colours=colours, frames=frames)


def winding(noise: np.ndarray, points: np.ndarray, turns: float) -> np.ndarray:
    """Return 33 frames (33, N, 3) from noise to points, around the vertical axis on their way."""
    time = np.linspace(0, 1, 33)[:, None]
    x, y, z = np.moveaxis((1 - time[..., None]) * noise + time[..., None] * points, -1, 0)
    angle = (1 - time) * turns * 2 * np.pi
    turned_x = np.cos(angle) * x + np.sin(angle) * z
    return np.stack([turned_x, y, np.cos(angle) * z - np.sin(angle) * x], axis=-1)


def measure(text: str, seconds: int) -> dict[str, str]:
    """Return what the page says of itself."""
    measured = text.replace("</body>", MEASURE.replace("SECONDS", str(seconds)))
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with served(measured) as (address, found), folder as profile:
        command = ["chromium", *SWITCHES.split(), f"--user-data-dir={profile}", address]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return found.get(timeout=120)
        finally:
            browser.terminate()
            browser.wait(timeout=10)


@contextmanager
def served(text: str) -> Iterator[tuple[str, queue.Queue[dict[str, str]]]]:
    """Give the address of the page on this machine, and where its answer will be."""
    found: queue.Queue[dict[str, str]] = queue.Queue()
    server = HTTPServer(("127.0.0.1", 0), functools.partial(Handler, text.encode(), found))
    threading.Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", found
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Serves one page and takes one answer."""

    def __init__(
        self, content: bytes, found: queue.Queue[dict[str, str]], *request: object
    ) -> None:
        """Answer a request, which the server passes on."""
        self.content, self.found = content, found
        super().__init__(*request)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Send the page, or note what it found."""
        address = urlsplit(self.path)
        if address.path == "/found":
            self.found.put(dict(parse_qsl(address.query)))
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.content if address.path == "/" else b"")

    def log_message(self, *_: object) -> None:
        """Keep quiet: the table is all that is printed."""


if __name__ == "__main__":
    main()
