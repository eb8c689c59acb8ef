"""Read pictures and prepare them for a network; a damaged file is one clear `ImageError`."""

from pointgen.images.augment import Window, augmented, random_background, random_window
from pointgen.images.decode import IMAGE_SUFFIXES, is_image
from pointgen.images.errors import ImageError
from pointgen.images.framing import framed
from pointgen.images.read import background_found, read_image

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageError",
    "Window",
    "augmented",
    "background_found",
    "framed",
    "is_image",
    "random_background",
    "random_window",
    "read_image",
]
