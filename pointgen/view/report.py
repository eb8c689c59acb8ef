"""A report as one HTML page that needs nothing but itself: tables, sentences, pictures, curves."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pointgen.view.curves import COLOURS, Chart, svg

__all__ = ["Details", "Grid", "Part", "Picture", "Section", "Table", "report", "save_report"]

FEW_COLOURS, QUALITY = 256, 90

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #22252b; --soft: #5b6270; --rule: #e4e6ea;
        --line-0: #1f6feb; --line-1: #d9480f; --line-2: #2b8a3e; --line-3: #9c36b5; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181d; --ink: #dfe2e8; --soft: #98a0ae; --rule: #31353d;
          --line-0: #6cb0ff; --line-1: #ff9f66; --line-2: #69d084; --line-3: #d990f0; } }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink);
       max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: .25rem .9rem; border-bottom: 1px solid var(--rule); text-align: left;
         vertical-align: top; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; border-radius: 6px; } p, li { max-width: 50rem; }
pre { overflow-x: auto; font-size: .85rem; border-left: 3px solid var(--rule); padding-left: 1rem; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--soft); }
.grid { display: grid; gap: 1rem 1.4rem;
          grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; } figcaption { font-weight: 600; }
figcaption span { font-weight: 400; color: var(--soft); margin-left: .8em; white-space: nowrap; }
figcaption i { display: inline-block; width: 1.1em; height: .22em; margin-right: .4em;
               vertical-align: middle; }
svg { width: 100%; height: auto; display: block; }
svg .grid { stroke: var(--rule); } svg .axis { stroke: var(--soft); }
svg .tick { font-size: 11.5px; fill: var(--soft); }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
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
class Grid:
    """Curves and pictures side by side, as many in a row as there is room for."""

    parts: Sequence[Chart | Picture]


@dataclass(frozen=True)
class Details:
    """A text as it is, which shows when a person asks for it."""

    title: str
    text: str


Part = str | Table | Picture | Chart | Grid | Details


@dataclass(frozen=True)
class Section:
    """A heading and what follows it, in order; a string is a paragraph."""

    title: str
    parts: Sequence[Part]


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


def _part(part: Part) -> str:
    match part:
        case Table():
            head = _row("th", part.heads)
            return f"<table>\n{head}\n" + "\n".join(_row("td", r) for r in part.rows) + "\n</table>"
        case Picture():
            caption = html.escape(part.caption)
            return f'<p>{caption}</p>\n<img alt="{caption}" src="{_embedded(part.image)}">'
        case Chart():
            return _chart(part)
        case Grid():
            return '<div class="grid">' + "\n".join(map(_figure, part.parts)) + "</div>"
        case Details():
            title, text = html.escape(part.title), html.escape(part.text)
            return f"<details><summary>{title}</summary>\n<pre>{text}</pre></details>"
        case _:
            return f"<p>{html.escape(part)}</p>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(part: Chart | Picture) -> str:
    if isinstance(part, Chart):
        return _chart(part)
    caption = html.escape(part.caption)
    image = f'<img alt="{caption}" src="{_embedded(part.image)}">'
    return f"<figure><figcaption>{caption}</figcaption>\n{image}</figure>"


def _chart(chart: Chart) -> str:
    legend = "".join(
        f'<span><i style="background: {colour}"></i>{html.escape(name)}</span>'
        for name, colour in zip(chart.legend, COLOURS, strict=False)
    )
    caption = f"<figcaption>{html.escape(chart.title)}{legend}</figcaption>"
    return f"<figure>{caption}\n{svg(chart)}</figure>"


def _embedded(image: Image.Image) -> str:
    """Return a picture as text: few colours as PNG, shaded shapes as JPEG, a quarter of that."""
    data, few = io.BytesIO(), image.getcolors(FEW_COLOURS) is not None
    image.save(data, format="PNG" if few else "JPEG", optimize=True, quality=QUALITY)
    kind = "png" if few else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(data.getvalue()).decode("ascii")
