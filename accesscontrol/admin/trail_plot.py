"""The frames of a decision as a small plot: coordinates for an SVG, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accesscontrol.explanation import Frame

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 36, 628, 12, 168


@dataclass(frozen=True, slots=True)
class Line:
    """A measure over the frames."""

    name: str
    kind: str
    """Its class in the style sheet."""
    path: str
    """For a polyline; empty for a single frame."""
    marks: tuple[tuple[str, str], ...]
    limit: str
    """Height of what is asked for; empty if nothing is."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Numbers are text: a template would write them with the reader's decimal comma."""

    lines: tuple[Line, ...]
    ticks: tuple[tuple[str, str], ...]
    """Place and label on the axis of time."""
    summary: str


def plot(
    frames: Sequence[Frame], lowest_quality: float | None, pad_threshold: float | None
) -> Plot | None:
    """The plot of quality and attack score over the frames; None without frames."""
    if not frames:
        return None
    last = max(frame.after_ms for frame in frames) or 1
    quality = [(frame.after_ms, frame.quality) for frame in frames]
    pad = [(frame.after_ms, frame.pad) for frame in frames if frame.pad is not None]
    lines = [_line(_("quality"), "quality", quality, last, lowest_quality)]
    if pad:
        lines.append(_line(_("attack score"), "pad", pad, last, pad_threshold))
    digits = 1 if last >= 2000 else 2
    ticks = tuple(
        (_x(round(last * part / 4), last), f"{last * part / 4000:.{digits}f} s")
        for part in range(5)
    )
    return Plot(tuple(lines), ticks, _summary(frames, [score for _, score in pad]))


def _line(
    name: str, kind: str, points: Sequence[tuple[int, float]], last: int, limit: float | None
) -> Line:
    marks = tuple((_x(after, last), _y(value)) for after, value in points)
    path = " ".join(",".join(mark) for mark in marks) if len(marks) > 1 else ""
    return Line(name, kind, path, marks, "" if limit is None else _y(limit))


def _x(after_ms: int, last: int) -> str:
    return f"{LEFT + (RIGHT - LEFT) * after_ms / last:.1f}"


def _y(value: float) -> str:
    return f"{BOTTOM - (BOTTOM - TOP) * min(max(value, 0), 1):.1f}"


def _summary(frames: Sequence[Frame], pad: Sequence[float]) -> str:
    """What the plot shows, for whoever does not see it."""
    qualities = [frame.quality for frame in frames]
    text = ngettext(
        "%(n)d face over %(s).1f seconds; quality between %(low).2f and %(high).2f",
        "%(n)d faces over %(s).1f seconds; quality between %(low).2f and %(high).2f",
        len(frames),
    ) % {
        "n": len(frames),
        "s": frames[-1].after_ms / 1000,
        "low": min(qualities),
        "high": max(qualities),
    }
    if not pad:
        return text + "; " + _("no attack scores") + "."
    found = {"low": min(pad), "high": max(pad)}
    return text + "; " + _("attack score between %(low).2f and %(high).2f") % found + "."
