"""Open3D, which is there only together with packages of the system."""

from __future__ import annotations

from types import ModuleType

__all__ = ["load_open3d"]

PACKAGES = "libusb-1.0-0 libgl1 libegl1 libgomp1"


def load_open3d() -> ModuleType:
    """Return the module `open3d`.

    Raises:
        ImportError: It does not load; the message names the packages that it needs.
    """
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(
            f"Open3D does not load ({error}); on Debian and Ubuntu it needs the packages {PACKAGES}"
        ) from error
    return open3d
