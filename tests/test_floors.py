"""The house: imports point down the floors, and siblings do not import each other."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pointgen"
FLOORS = {
    "batch": 0,
    "devices": 0,
    "geometry": 0,
    "files": 0,
    "images": 0,
    "processes": 0,
    "flows": 1,
    "networks": 1,
    "datasets": 1,
    "metrics": 1,
    "view": 1,
    "models": 2,
    "config": 3,
    "interop": 3,
    "training": 4,
    "cli": 5,
}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in FLOORS)


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def imported(path: Path) -> set[str]:
    """The parts of pointgen that a file imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {part_of(name) for name in names if name.split(".")[0] == "pointgen"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for part in imported(path) - {own}:
        assert part in FLOORS, f"{path}: imports pointgen.{part}, which is on no floor"
        assert FLOORS[part] < FLOORS[own], f"{path}: {own} imports {part}, which is not below it"


def test_every_part_has_a_floor():
    parts = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if not p.name.startswith("__")}
    assert parts == set(FLOORS)


def test_a_file_stays_small():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, f"{path}: over 400 lines, two ideas?"
