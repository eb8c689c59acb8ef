"""Real key strokes, by the X server's own test extension."""

import ctypes
import time


class Keyboard:
    """Strikes keys into the window of a title."""

    def __init__(self, title):
        self.x, self.test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        for function in (self.x.XOpenDisplay, self.x.XDefaultRootWindow, self.x.XStringToKeysym):
            function.restype = ctypes.c_void_p
        self.display = ctypes.c_void_p(self.x.XOpenDisplay(None))
        root = self.x.XDefaultRootWindow(self.display)
        window = self.find(root, title.encode())
        assert window, f"no window {title}"
        self.x.XSetInputFocus(self.display, ctypes.c_ulong(window), 1, 0)
        self.x.XSync(self.display, 0)

    def find(self, window, title):
        name = ctypes.c_char_p()
        self.x.XFetchName(self.display, ctypes.c_ulong(window), ctypes.byref(name))
        if name.value == title:
            return window
        root, parent, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
        children = ctypes.POINTER(ctypes.c_ulong)()
        answers = map(ctypes.byref, (root, parent, children, count))
        self.x.XQueryTree(self.display, ctypes.c_ulong(window), *answers)
        found = (self.find(children[number], title) for number in range(count.value))
        return next((each for each in found if each), None)

    def press(self, key):
        """Strike a key by its name in X11, such as "n", "Left" or "plus"."""
        symbol = ctypes.c_ulong(self.x.XStringToKeysym(key.encode()))
        code = self.x.XKeysymToKeycode(self.display, symbol)
        for down in (1, 0):
            self.test.XTestFakeKeyEvent(self.display, code, down, 0)
        self.x.XSync(self.display, 0)
        time.sleep(0.02)
