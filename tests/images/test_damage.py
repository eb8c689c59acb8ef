"""Every damaged picture is one `ImageError` that starts with the path, soon, in little memory."""

import io
import os
import pickle
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from pointgen.images import ImageError, read_image
from pointgen.images.decode import FORMATS, MAX_PIXELS

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)


def encoded(form, pixels=PIXELS, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, data=b"", more=b""):
    """A PNG whose header may lie."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + head + more + pixels + chunk(b"IEND", b"")


def tiff_with_ones():
    data = bytearray(encoded("TIFF"))
    data[8:60] = b"\xff" * 52
    return bytes(data)


DAMAGED = {
    "empty.png": (b"", r"is empty \(0 bytes\)"),
    "text.png": (b"this is no picture\n" * 20, "cannot be read as a picture: its format"),
    "cloud.jpg": (b"ply\nformat ascii 1.0\nelement vertex 1\n", "its format"),
    "page.webp": (b"<html><body>404</body></html>", "its format"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its format"),
    "script.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "format"),
    "photo.heic": (b"\x00\x00\x00\x18ftypheic" + bytes(40), "export the photo as JPEG or PNG"),
    "head.png": (b"\x89PNG\r\n\x1a\n", "cannot be read"),
    "head.jpg": (encoded("JPEG")[:20], "cannot be read"),
    "half.png": (encoded("PNG")[: len(encoded("PNG")) // 2], "cannot be read"),
    "half.jpg": (encoded("JPEG")[: len(encoded("JPEG")) // 2], "truncated"),
    "half.webp": (encoded("WEBP")[: len(encoded("WEBP")) // 2], "cannot be read"),
    "half.bmp": (encoded("BMP")[:1000], "cannot be read"),
    "half.gif": (encoded("GIF")[:1000], "cannot be read"),
    "half.tif": (encoded("TIFF")[:1000], "cannot be read"),
    "ones.tif": (tiff_with_ones(), "cannot be read"),
    "short.png": (png(50, 50, b"\0" * 99), "cannot be read"),
    "no_width.png": (png(0, 5), "cannot be read"),
    "bomb.png": (png(60_000, 60_000), "has more than 67 million"),
    "large.png": (png(9500, 9500), "has 9500 x 9500 pixels, more than 67 million"),
    "huge.png": (png(2**31 - 1, 2**31 - 1), "cannot be read|more than"),
    "long.png": (png(100_000, 2), "or 65536 on a side"),
    "notes.png": (png(9, 9, more=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"a" * 2**25))), "large"),
    "clear.png": (encoded("PNG", np.zeros((9, 9, 4), np.uint8)), "nothing is visible"),
    "faint.png": (encoded("PNG", np.full((9, 9, 4), 9, np.uint8)), "nothing is visible"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_clear_line(tmp_path, name, capfd):
    data, message = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250
    assert capfd.readouterr() == ("", "")


def test_what_is_no_file(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="folder"):
        read_image(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="device"):
        read_image(tmp_path / "pipe.png")


def test_a_bomb_takes_no_memory(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(8192, 8193))
    tracemalloc.start()
    with pytest.raises(ImageError, match="more than"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
    assert MAX_PIXELS == 8192 * 8192


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "TGA", "PCX", "SGI"])
def test_any_damage_is_an_image_error_or_a_picture(tmp_path, form, capfd):
    exif = {"exif": exif_notes()} if form in {"PNG", "JPEG", "WEBP"} else {}
    whole, rng = encoded(form, PIXELS[:20, :20], **exif), np.random.default_rng(1)
    path = tmp_path / "a.png"
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, min(len(data), rng.choice([64, 4096])), rng.integers(1, 9)):
            data[place] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data))] if rng.random() < 0.2 else data)
        try:
            assert read_image(path).shape[2] == 4
        except ImageError as error:
            assert str(error).startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")


def exif_notes():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    return exif


WORD = struct.pack("<2sHIHHHI4s", b"II", 42, 8, 1, 0x0112, 2, 4, b"six")  # a word, no number


@pytest.mark.parametrize("notes", [b"II*\0\xff\xff\xff\xff", b"no notes", b"MM\0*", WORD])
def test_a_photo_with_damaged_notes_is_read(tmp_path, notes):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + notes)
    assert read_image(tmp_path / "a.jpg").shape == (60, 60, 4)


def test_no_format_starts_other_programs():
    assert not {"EPS", "WMF"} & set(FORMATS)


def test_the_error_survives_the_way_out_of_a_process(tmp_path):
    error = pickle.loads(pickle.dumps(ImageError(tmp_path, "is empty")))
    assert str(error) == f"{tmp_path}: is empty"
