"""A report as one HTML page that needs nothing but itself: tables, sentences and pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

__all__ = ["Picture", "Section", "Table", "report", "save_report"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22252b; max-width: 70rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: .25rem .9rem; border-bottom: 1px solid #e4e6ea; text-align: left;
         vertical-align: top; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; } p, li { max-width: 50rem; }
"""


@dataclass(frozen=True)
class Table:
    """Rows of cells under a heading each."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A picture and what a person who does not see it should know."""

    image: Image.Image
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and what follows it, in order; a string is a paragraph."""

    title: str
    parts: Sequence[str | Table | Picture]


def report(title: str, sections: Sequence[Section]) -> str:
    """Return the page; all texts may hold any characters."""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n"
        f"<h1>{html.escape(title)}</h1>\n{body}\n</html>\n"
    )


def save_report(path: Path | str, title: str, sections: Sequence[Section]) -> None:
    """Write the text of `report` to `path`, complete or not at all."""
    from pointgen.files import atomic

    text = report(title, sections)
    with atomic(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _section(section: Section) -> str:
    parts = "\n".join(_part(part) for part in section.parts)
    return f"<h2>{html.escape(section.title)}</h2>\n{parts}"


def _part(part: str | Table | Picture) -> str:
    match part:
        case Table():
            head = _row("th", part.heads)
            return f"<table>\n{head}\n" + "\n".join(_row("td", r) for r in part.rows) + "\n</table>"
        case Picture():
            caption = html.escape(part.caption)
            return f'<p>{caption}</p>\n<img alt="{caption}" src="{_embedded(part.image)}">'
        case _:
            return f"<p>{html.escape(part)}</p>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _embedded(image: Image.Image) -> str:
    data = io.BytesIO()
    image.save(data, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")
