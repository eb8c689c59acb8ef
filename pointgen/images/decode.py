"""From a file to upright pixels: every mode that Pillow knows becomes red, green, blue and alpha.

A damaged or foreign file is one `ImageError`, told before its pixels fill the memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pointgen.images.errors import ImageError, expect, library

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "decoded", "is_image"]

MAX_PIXELS = 2**26  # 8192 x 8192, above what phones commonly give: 256 MiB as RGBA
MAX_SIDE = 2**16  # pixels
TOO_LARGE = (
    f"more than {MAX_PIXELS // 10**6} million in all or {MAX_SIDE} on a side: make it smaller first"
)

# EPS and WMF are left out: to read them, Pillow starts other programs.
FORMATS = (
    *("PNG", "JPEG", "MPO", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA"),
    *("AVIF", "JPEG2000", "ICO", "PCX", "SGI"),
)
IMAGE_SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".jfif", ".mpo", ".webp", ".bmp", ".dib", ".gif", ".tif"),
        *(".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".avif", ".jp2", ".ico", ".pcx"),
        *(".sgi", ".heic", ".heif"),
    )
)
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

ORIENTATION = 0x0112  # EXIF 2.3, section 4.6.4: 1 means upright
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def is_image(path: Path | str) -> bool:
    """Return whether the ending of a path is that of a picture.

    Photos in HEIC count: that they cannot be read is an error to be told, not to be passed over.
    """
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def decoded(path: Path) -> np.ndarray:
    """Return the upright pixels (H, W, 4), uint8, straight alpha; of an animation the first frame.

    Raises:
        ImageError: The file is missing, empty, damaged, too large or no picture.
    """
    _check_file(path)
    with library(path), _open(path) as image:
        width, height = image.size
        fits = width * height <= MAX_PIXELS and max(width, height) <= MAX_SIDE
        expect(fits, path, f"has {width} x {height} pixels, {TOO_LARGE}")
        image.load()
        # Read after loading: TIFF turns itself upright and takes the tag away.
        turn = UPRIGHT.get(_orientation(image))
        rgba = _rgba(path, image)
        if turn is not None:
            rgba = np.asarray(Image.fromarray(rgba).transpose(turn))
    return rgba


def _check_file(path: Path) -> None:
    """Refuse what is missing, not a regular file, empty or in a format that needs other tools."""
    expect(path.exists(), path, "no such file")
    expect(path.is_file(), path, "expected a picture, got a folder or a device")
    with library(path), path.open("rb") as file:
        head = file.read(12)
    expect(len(head) > 0, path, "is empty (0 bytes)")
    heif = head[4:8] == b"ftyp" and head[8:12] in HEIF
    expect(not heif, path, "HEIC and HEIF cannot be read: export the photo as JPEG or PNG")


def _open(path: Path) -> Image.Image:
    Image.init()  # registers what this installation of Pillow can read
    try:
        return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.UnidentifiedImageError:
        raise ValueError("its format is not known, or its head is damaged") from None
    except Image.DecompressionBombError:  # Pillow's own limit is higher, and told before the size
        raise ImageError(path, f"has {TOO_LARGE}") from None


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, which is upright, where the notes are damaged."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a parser fed with damage may raise anything; viewers show such photos too
        return 1


def _rgba(path: Path, image: Image.Image) -> np.ndarray:
    """Return the pixels (H, W, 4), uint8, of a loaded picture of any mode."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        grey = _deep_grey(path, values)
        alpha = np.full_like(grey, 255)
        key = image.info.get("transparency")  # the one grey value that stands for transparent
        if isinstance(key, int):
            alpha[values == key] = 0
        return np.stack([grey, grey, grey, alpha], axis=-1)
    return np.asarray(image.convert("RGBA"))


def _deep_grey(path: Path, values: np.ndarray) -> np.ndarray:
    """Return grey of more than 8 bits as uint8.

    Whole numbers of up to 16 bits keep their scale; others have none of their own and are
    stretched from their least to their largest value.
    """
    low, high = float(values.min()), float(values.max())
    expect(np.isfinite([low, high]).all().item(), path, "holds pixels that are not finite numbers")
    if values.dtype.kind in "ui" and low >= 0 and high < 2**16:
        low, high = 0.0, 2.0**16 - 1
    share = (values.astype(np.float32) - low) / max(high - low, 1e-30)
    return np.round(255 * share).astype(np.uint8)
