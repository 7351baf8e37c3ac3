"""An evaluation's report as one HTML file that needs no other: pictures are embedded in it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from PIL import Image

from recognition.images import PHOTO_LIMITS, ImageError, decode
from recognition.types import Pixels

THUMBNAIL = 320  # pixels of the longer side: sharp on fine screens, too

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1c2733; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; }
th, td { border-bottom: 1px solid #d7dde3; padding: .25rem .9rem .25rem 0; text-align: left;
  vertical-align: top; }
th { font-weight: 500; }
.plots, .pairs { display: flex; flex-wrap: wrap; gap: 1rem; }
.plots { align-items: flex-start; }
.plots img, .plots svg { width: min(32rem, 100%); height: auto; }
figure { margin: 0; width: 20.5rem; max-width: 100%; }
figure.one { width: 10rem; }
figure img, figure .none { width: 10rem; height: 10rem; object-fit: cover; background: #eef1f4; }
figure .none { display: inline-block; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture that is no file of its own, and its caption."""

    name: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Shown:
    """Two photos to be looked at side by side, and what to know of them.

    second: None where there is nothing to compare with.
    """

    score: float
    first: Path | Picture
    second: Path | Picture | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a report says.

    figures: as in the JSON; nested objects are written with their keys joined by dots.
    plots: PNG images by what they show.
    pairs: photos by heading.
    drawings: our own SVG elements by what they show.
    """

    title: str
    figures: Mapping[str, object]
    plots: Mapping[str, bytes]
    pairs: Sequence[tuple[str, Sequence[Shown]]]
    drawings: Mapping[str, str] = field(default_factory=dict)


def render(page: Page) -> str:
    """The page as HTML. It loads nothing and runs nothing: its own policy forbids both."""
    title = escape(page.title)
    plots = "".join(
        f'<img alt="{escape(name)}" src="{_data_uri(png, "image/png")}">'
        for name, png in page.plots.items()
    )
    plots += "".join(
        drawing.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1)
        for name, drawing in page.drawings.items()
    )
    pairs = "".join(
        f'<h2>{escape(heading)}</h2>\n<div class="pairs">{"".join(map(_pair, shown))}</div>\n'
        for heading, shown in page.pairs
        if shown
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<div class="plots">{plots}</div>\n<h2>Figures</h2>\n<table>\n'
        f"{''.join(_rows(page.figures))}</table>\n{pairs}</body>\n</html>\n"
    )


def _rows(figures: Mapping[str, object], prefix: str = "") -> Iterable[str]:
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _rows(value, f"{name}.")
        else:
            yield f'<tr><th scope="row">{escape(name)}</th><td>{escape(_text(value))}</td></tr>\n'


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(entry) for entry in value) or "none"
    return str(value)


def _pair(shown: Shown) -> str:
    names = [_name(photo) for photo in (shown.first, shown.second) if photo is not None]
    second = _photo(shown.second) if shown.second is not None else ""
    caption = escape(" / ".join(names))
    note = f"; {escape(shown.note)}" if shown.note else ""
    kind = "" if second else ' class="one"'
    return (
        f"<figure{kind}>{_photo(shown.first)}{second}"
        f"<figcaption><strong>{shown.score:.3f}</strong>{note}<br>{caption}</figcaption></figure>"
    )


def _name(photo: Path | Picture) -> str:
    return photo.name if isinstance(photo, Picture) else f"{photo.parent.name}/{photo.name}"


def _photo(photo: Path | Picture) -> str:
    """A small copy of a photo; an empty place for one that cannot be read."""
    try:
        pixels = (
            photo.pixels
            if isinstance(photo, Picture)
            else decode(photo.read_bytes(), PHOTO_LIMITS).pixels
        )
    except (ImageError, OSError):
        return '<span class="none" role="img" aria-label="cannot be shown"></span>'
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f'<img alt="{escape(_name(photo))}" src="{_data_uri(buffer.getvalue(), "image/jpeg")}">'


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
