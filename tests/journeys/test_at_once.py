"""The same person at two doors, the same messages many times: through the whole installation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from kiosk import identity, protocol
from kiosk.client import stream_url
from kiosk.identity import Identity
from kiosk.protocol import FrameMessage
from tests.journeys.installation import TestInstallation

pytestmark = pytest.mark.journey

COPIES = 20


def punches(installation: TestInstallation, site: str) -> list[tuple[Any, ...]]:
    """Presentation and kiosk of each of the site's punches."""
    return installation.query(
        "SELECT p.presentation::text, p.kiosk_id FROM accesscontrol_punch p"
        f" JOIN accesscontrol_site s ON s.id = p.site_id WHERE s.name = '{site}'"
    )


def test_the_same_walk_past_at_two_doors_at_once_is_one_punch(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("Two doors")
    installation.enrol("Two doors", "44", "Barack Obama", faces["obama.jpg"])
    walks = [walk_pasts / "obama2"] * 4

    with ThreadPoolExecutor(2) as both:
        play = partial(installation.play, "Two doors")
        played = list(both.map(lambda door: play(door, *walks), ("North", "South")))

    decisions = [decision for door in played for decision in door]
    accepted = [decision for decision in decisions if decision["outcome"] == "ACCEPTED"]
    assert {decision["employee"] for decision in accepted} == {"Barack Obama"}
    assert len({decision["presentation"] for decision in accepted}) == len(accepted) >= 4
    assert [decision["repeat"] for decision in accepted].count(False) == 1
    assert len({decision["at"] for decision in accepted}) == 1, "all tell of the same punch"
    assert len(punches(installation, "Two doors")) == 1


@contextmanager
def connected(url: str, device: Identity) -> Iterator[ClientConnection]:
    with connect(stream_url(url, device), proxy=None, compression=None) as socket:
        nonce = protocol.parse_nonce(json.loads(socket.recv(timeout=20)))
        socket.send(json.dumps(protocol.proof(device.prove(nonce))))
        assert json.loads(socket.recv(timeout=20))["type"] == "ready"
        yield socket


def answered(socket: ClientConnection, *kinds: str) -> list[dict[str, Any]]:
    """The messages until there was one of each kind."""
    heard: list[dict[str, Any]] = []
    while not {message["type"] for message in heard} >= set(kinds):
        heard.append(json.loads(socket.recv(timeout=60)))
    return heard


def test_every_message_many_times_is_one_decision_and_one_punch_for_each_walk_up(
    installation: TestInstallation, faces: dict[str, Path], walk_pasts: Path
) -> None:
    installation.add_site("Stutter", "--cool-down", "0")
    installation.enrol("Stutter", "44", "Barack Obama", faces["obama.jpg"])
    device = identity.pair(
        Identity.new(), installation.url, installation.pairing_code("Stutter", "Door")
    )
    images = [path.read_bytes() for path in sorted((walk_pasts / "obama2").iterdir())][8:14]
    told: list[dict[str, Any]] = []
    walk_ups = 3
    for _ in range(walk_ups):
        for number, image in enumerate(images, 1):
            message = protocol.pack_frame(FrameMessage(number, 1_000_000 + number, image))
            # A client that lost its connection sends the frame again on the next one, too.
            with connected(installation.url, device) as socket:
                for _ in range(COPIES):
                    socket.send(message)
                told += answered(socket, "faces")
        with connected(installation.url, device) as socket:
            for _ in range(COPIES):
                socket.send('{"type": "rest"}')
            socket.send('{"type": "ping"}')
            told += answered(socket, "rested", "pong")

    decisions = [message for message in told if message["type"] == "decision"]
    assert [decision["outcome"] for decision in decisions] == ["ACCEPTED"] * walk_ups
    presentations = {decision["presentation"] for decision in decisions}
    assert len(presentations) == walk_ups
    rows = punches(installation, "Stutter")
    assert sorted(presentation for presentation, _ in rows) == sorted(presentations)
    recorded = installation.query(
        "SELECT d.presentation::text FROM accesscontrol_decision d"
        " JOIN accesscontrol_site s ON s.id = d.site_id WHERE s.name = 'Stutter'"
    )
    assert sorted(presentation for (presentation,) in recorded) == sorted(presentations)
