"""`evaluate challenge`: made faces that pass and that do not, and the command's errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from recognition.challenge import LEVEL_LOOKS, SEQUENCES, Movement
from recognition.commands import main
from recognition.evaluate.challenge import (
    ANGLES,
    Seen,
    Turns,
    by_chance,
    by_turning,
    obeys,
    play,
    summary,
)
from recognition.evaluate.turning import FLAT, HEAD

ANNA, BERT = np.eye(2, 8, dtype=np.float32)
LEFT, RIGHT, UP = Movement
MOVEMENTS = (LEFT, UP, RIGHT)
POSES = {LEFT: (30.0, 0.0), RIGHT: (-30.0, 0.0), UP: (0.0, 30.0)}
ALIKE = 0.8


def seen(yaw: float = 0.0, pitch: float = 0.0, misfit: float = 0.05, who: int = 0) -> Seen:
    return Seen(yaw, pitch, misfit, (ANNA, BERT)[who])


AHEAD = [seen()] * LEVEL_LOOKS


def obeying(*movements: Movement, who: int = 0) -> list[Seen | None]:
    shown: list[Seen | None] = []
    for movement in movements:
        shown += [seen()] * 4 + [seen(*POSES[movement])] * 3 + [seen(who=who)] * 3
    return shown


def test_who_does_what_is_asked_passes() -> None:
    assert play(AHEAD, obeying(*MOVEMENTS), MOVEMENTS, ALIKE) == "FULFILLED"


@pytest.mark.parametrize(
    ("shown", "end"),
    [
        ([seen()] * 70, "EXPIRED"),
        (obeying(RIGHT, UP, LEFT), "WRONG"),
        (obeying(LEFT, UP), "unfinished"),
        (obeying(*MOVEMENTS, who=1), "EXPIRED"),
        ([seen(30.0)] * 20, "TOO_EARLY"),
        ([None] * 70, "EXPIRED"),
        ([seen(30.0, misfit=0.9)] * 70, "EXPIRED"),
        ([seen(math.nan)] * 70, "EXPIRED"),
        ([], "unfinished"),
    ],
)
def test_who_does_not_does_not(shown: list[Seen | None], end: str) -> None:
    if end == "EXPIRED" and len(shown) < 70:
        shown = shown + [seen(who=1)] * 70
    assert play(AHEAD, shown, MOVEMENTS, ALIKE) == end


def test_who_does_not_look_ahead_is_not_asked() -> None:
    assert play([seen(40.0)] * 5, obeying(*MOVEMENTS), MOVEMENTS, ALIKE) == "not begun"


def test_every_clip_is_tried_from_every_frame_with_every_sequence() -> None:
    still: list[Seen | None] = [seen()] * 20
    moving = [*AHEAD, *obeying(*MOVEMENTS)]
    found = by_chance({"still": still, "moving": moving}, ALIKE)
    assert found["clips"]["still"]["trials"] == (20 - LEVEL_LOOKS) * len(SEQUENCES)
    assert found["clips"]["still"]["passed"] == 0
    assert 1 <= found["clips"]["moving"]["passed"] <= 5, "from a few frames, with one sequence"
    assert found["passed"] == found["clips"]["moving"]["passed"]
    assert found["clips"]["moving"]["yaw_furthest"] == 30
    json.dumps(found, allow_nan=False)


def pictures(surface: object, share: float) -> Turns:
    """Seen turned by a share of what they are turned by."""
    angles = {(x * a, y * a) for x, y in ((1, 0), (-1, 0), (0, 1)) for a in (0, *ANGLES)}
    return Turns(surface, {(x, y): seen(share * x, share * y) for x, y in angles})  # type: ignore[arg-type]


def test_a_head_that_turns_passes_and_a_print_that_hardly_does_is_refused() -> None:
    assert obeys(pictures(HEAD, 1.0), MOVEMENTS, 40, ALIKE)
    assert not obeys(pictures(FLAT, 0.2), MOVEMENTS, 40, ALIKE)


def test_the_share_that_passes_is_told_for_each_surface() -> None:
    found = by_turning([[pictures(HEAD, 1.0), pictures(FLAT, 0.2)]] * 3, ALIKE)
    assert (found[HEAD.name]["passed"], found[FLAT.name]["passed"]) == (3, 0)
    assert found[FLAT.name]["upper95"] == pytest.approx(1 - 0.05 ** (1 / 3), abs=1e-3)
    json.dumps(found | summary(), allow_nan=False)


def test_without_anything_to_look_at_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "challenge"]) != 0
    assert "--clips" in capsys.readouterr().err


def test_a_folder_without_clips_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], models_dir: Path
) -> None:
    assert main(["evaluate", "challenge", "--clips", str(tmp_path)]) != 0
    assert str(tmp_path) in capsys.readouterr().err
