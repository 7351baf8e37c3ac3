"""How the head was held while somebody did what was asked: coordinates for an SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from accesscontrol.admin.challenge_words import MOVEMENTS

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 628, 26, 168
FURTHEST = 60.0
"""Degrees; what lies further is drawn there."""


@dataclass(frozen=True, slots=True)
class PosePlot:
    """Numbers are text: a template would write them with the reader's decimal comma.

    Of the two lines positive is the person's left, and up.
    """

    yaw: str
    pitch: str
    middle: str
    """Height of looking ahead."""
    grid: tuple[tuple[str, str], ...]
    """Heights and their degrees."""
    prompts: tuple[tuple[str, str], ...]
    """Place of each prompt, and what was asked."""
    ticks: tuple[tuple[str, str], ...]
    """Place and label on the axis of time."""
    summary: str


def pose_plot(shown: Mapping[str, Any] | None) -> PosePlot | None:
    """The plot of a challenge's poses; None without any."""
    poses = [pose for pose in (shown or {}).get("poses", ()) if len(pose) == 3]
    if shown is None or not poses:
        return None
    level = shown.get("level") or [0.0, 0.0]
    begin, end = poses[0][0], max(poses[-1][0], poses[0][0] + 1)

    def x(at_ms: float) -> str:
        return f"{LEFT + (RIGHT - LEFT) * (at_ms - begin) / (end - begin):.1f}"

    prompts = tuple(
        (x(step["prompted_ms"]), str(MOVEMENTS.get(step["movement"], step["movement"])))
        for step in shown.get("movements", ())
        if step.get("prompted_ms") is not None
    )
    yaws = [pose[1] - level[0] for pose in poses]
    return PosePlot(
        yaw=" ".join(f"{x(p[0])},{_y(value)}" for p, value in zip(poses, yaws, strict=True)),
        pitch=" ".join(f"{x(pose[0])},{_y(pose[2] - level[1])}" for pose in poses),
        middle=_y(0),
        grid=tuple((_y(degrees), f"{degrees:+d}°") for degrees in (30, -30)),
        prompts=prompts,
        ticks=tuple(
            (
                x(begin + (end - begin) * part / 4),
                f"{(begin + (end - begin) * part / 4) / 1000:.1f} s",
            )
            for part in range(5)
        ),
        summary=_summary(yaws),
    )


def _summary(yaws: Sequence[float]) -> str:
    return _("Turned by at most %(left).0f° to the left and %(right).0f° to the right.") % {
        "left": max(0.0, *yaws),
        "right": max(0.0, *(-yaw for yaw in yaws)),
    }


def _y(degrees: float) -> str:
    share = min(max(degrees, -FURTHEST), FURTHEST) / FURTHEST
    return f"{(TOP + BOTTOM) / 2 - (BOTTOM - TOP) / 2 * share:.1f}"
