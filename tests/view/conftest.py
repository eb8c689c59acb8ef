"""Shapes to look at, and a browser to look with."""

import json
import os
import select
import subprocess
import sys
import time

import numpy as np
import pytest

SWITCHES = (
    "--headless --no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --remote-debugging-pipe --window-size=900,700"
)
# Chromium takes orders on file 3 and answers on file 4.
START = """
import fcntl, os, sys
orders, answers = (fcntl.fcntl(int(name), fcntl.F_DUPFD, 10) for name in sys.argv[1:3])
os.dup2(orders, 3)
os.dup2(answers, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless Chromium, driven by its DevTools protocol."""

    def __init__(self, profile):
        own_answers, answers = os.pipe()
        orders, own_orders = os.pipe()
        command = [sys.executable, "-c", START, str(orders), str(answers)]
        command += ["chromium", *SWITCHES.split(), f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=[orders, answers], stderr=subprocess.DEVNULL
        )
        os.close(orders)
        os.close(answers)
        self.orders, self.answers = os.fdopen(own_orders, "wb"), os.fdopen(own_answers, "rb")
        self.rest, self.number, self.session, self.events = b"", 0, None, []
        tabs = self.ask("Target.getTargets")["targetInfos"]
        tab = next(tab["targetId"] for tab in tabs if tab["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{part}.enable")

    def ask(self, method, **params):
        """Send one order and wait for its answer; what else happens meanwhile is in `events`."""
        self.number += 1
        order = {"id": self.number, "method": method, "params": params}
        order |= {"sessionId": self.session} if self.session else {}
        self.orders.write(json.dumps(order).encode() + b"\0")
        self.orders.flush()
        while (answer := self.read()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def read(self):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], 60)
            more = os.read(self.answers.fileno(), 1 << 16) if ready else b""
            assert more, "Chromium ended or hangs"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def visit(self, path, before=""):
        """Open a file, after a script that runs before those of the page."""
        script = self.ask("Page.addScriptToEvaluateOnNewDocument", source=before)
        self.events = []
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read())
        self.ask("Page.removeScriptToEvaluateOnNewDocument", **script)

    def run(self, script):
        """Return the value of a script; a promise is waited for."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def complaints(self):
        """What went to the console since the visit: errors, warnings, messages."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event for event in self.events if event.get("method") in kinds]

    def requests(self):
        """The addresses that were asked for since the visit, but for data inside the page."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        addresses = [params["request"]["url"] for params in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def wait(self, condition):
        """Go on once a script gives something true."""
        self.run(
            "(async () => { while (!(" + condition + ")) "
            "await new Promise((done) => setTimeout(done, 20)); })()"
        )

    def mouse(self, kind, x, y, **more):
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start, end, button="left", modifiers=0):
        """Hold a button (modifiers: 8 is Shift) on the way between two places."""
        held = {"button": button, "clickCount": 1, "modifiers": modifiers}
        self.mouse("mousePressed", *start, **held)
        if end != start:
            buttons = {"left": 1, "right": 2, "middle": 4}[button]
            self.mouse("mouseMoved", *end, **held, buttons=buttons)
        self.mouse("mouseReleased", *end, **held)

    def touch(self, *ways):
        """Move fingers at once, each along its places."""
        for kind, places in zip(
            ["touchStart"] + ["touchMove"] * (len(ways[0]) - 1),
            zip(*ways, strict=True),
            strict=True,
        ):
            fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
            self.ask("Input.dispatchTouchEvent", type=kind, touchPoints=fingers)
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, key, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" and len(key) == 1 else {}
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers, **text)

    def screen(self, width, height, *, phone=False, scheme="light"):
        """Be a screen of this size in CSS pixels; a phone has fingers."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        self.ask("Emulation.setTouchEmulationEnabled", enabled=phone)
        colours = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[colours])

    def picture(self):
        """What is on the screen, as the text of a PNG."""
        return self.ask("Page.captureScreenshot")["data"]

    def save_to(self, folder):
        """Where downloads go."""
        self.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.orders.close()
        self.answers.close()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    chromium.screen(640, 480)
    return chromium


@pytest.fixture
def eventually():
    """A function that waits until another returns something true."""

    def wait(happened):
        until = time.monotonic() + 30
        while not happened():
            assert time.monotonic() < until, "it never happens"
            time.sleep(0.02)

    return wait


@pytest.fixture
def torus():
    """2048 points of a torus that lies on the floor, radii 1 and 0.35."""
    around, across = np.random.default_rng(0).random((2, 2048)) * 2 * np.pi
    ring = 1 + 0.35 * np.cos(across)
    return np.stack(
        [ring * np.cos(around), 0.35 * np.sin(across), ring * np.sin(around)], axis=1
    ).astype(np.float32)


@pytest.fixture
def chair():
    """2048 points in the boxes of a seat, a back and four legs; 1 high, 0.5 wide."""
    generator = np.random.default_rng(1)
    boxes = [((0, 0.45, 0), (0.5, 0.05, 0.5), 700), ((0, 0.75, -0.22), (0.5, 0.5, 0.05), 700)]
    legs = [(x, z) for x in (-0.22, 0.22) for z in (-0.22, 0.22)]
    boxes += [((x, 0.21, z), (0.05, 0.42, 0.05), 162) for x, z in legs]
    parts = [
        np.array(middle) + (generator.random((count, 3)) - 0.5) * sides
        for middle, sides, count in boxes
    ]
    return np.concatenate(parts).astype(np.float32)


@pytest.fixture
def hostile():
    """A name that tries to break out of its place in a page."""
    return "</script><img src=x onerror='window.hacked = 1'>&amp;<!-- @data@ \u2028 \"'"


@pytest.fixture
def winding():
    """A function that leads noise to a cloud by some turns around the vertical axis, (T, N, 3)."""

    def way(points, turns=0.5, count=33):
        t = np.linspace(0, 1, count)[:, None]
        noise = np.random.default_rng(2).normal(size=points.shape)
        x, y, z = np.moveaxis((1 - t[..., None]) * noise + t[..., None] * points, -1, 0)
        angle = (1 - t) * turns * 2 * np.pi
        c, s = np.cos(angle), np.sin(angle)
        return np.stack([c * x + s * z, y, c * z - s * x], axis=-1).astype(np.float32)

    return way
