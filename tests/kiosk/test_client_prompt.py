"""What the Python client makes of a prompt: a line for a person, once each."""

from __future__ import annotations

from typing import Any, cast

from kiosk.client import KioskClient, Playing
from kiosk.identity import Identity
from kiosk.protocol import Message


def prompt(movement: str, step: int = 1, **fields: Any) -> Message:
    asked = {"type": "prompt", "presentation": "p", "seq": 1, "movement": movement, "step": step}
    return {**asked, "steps": 3, **fields}


def lines_of(*messages: Message) -> list[str]:
    lines: list[str] = []
    decisions: list[Message] = []
    client = KioskClient(
        "http://localhost", cast(Identity, None), Playing([]), decisions.append, lines.append
    )
    for message in messages:
        client._take(message)
    assert decisions == []
    return lines


def test_it_is_told_once_though_it_comes_with_every_frame() -> None:
    told = lines_of(prompt("LEFT"), prompt("LEFT", seq=2), prompt("AHEAD"), prompt("UP", 2))
    assert told == [
        "The person is asked: LEFT, step 1 of 3",
        "The person is asked: AHEAD, step 1 of 3",
        "The person is asked: UP, step 2 of 3",
    ]


def test_the_next_person_is_told_anew() -> None:
    assert len(lines_of(prompt("LEFT"), prompt("LEFT", presentation="q"))) == 2


def test_a_prompt_of_a_later_version_is_no_error() -> None:
    assert len(lines_of({"type": "prompt", "movement": "BACKWARDS"})) == 1
