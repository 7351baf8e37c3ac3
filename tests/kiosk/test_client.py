"""The Python client: from files to decisions as JSON lines, over the real web process."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest

from accesscontrol import kiosks
from accesscontrol.frames import Frame, FrameOutlet
from accesscontrol.models import Kiosk
from kiosk import identity
from kiosk.client import ClientError, KioskClient, Playing
from kiosk.identity import Identity, IdentityError
from kiosk.protocol import Message
from tests.factories import KioskFactory
from tests.kiosk.device import picture
from tests.kiosk.server import StandInWorker, WebServer, decision, faces, free_port
from tests.services import PROJECT, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kiosk(outlet: FrameOutlet) -> Kiosk:
    return KioskFactory.create()


@pytest.fixture
def device(kiosk: Kiosk, web: WebServer) -> Identity:
    return identity.pair(Identity.new(), web.url, kiosks.new_pairing_code(kiosk, by=None))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "Jürgen.jpg"
    path.write_bytes(picture(size=(320, 240)))
    return path


def video(path: Path, frames: int, size: tuple[int, int] = (320, 240), fps: float = 25) -> Path:
    """A clip whose frames grow brighter one by one."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), number * 255 // frames, np.uint8))
    writer.release()
    return path


class Run:
    """A client's run in this process, with what it said."""

    def __init__(self, web_url: str, device: Identity, *sources: Path | str, **playing: object):
        self.decisions: list[Message] = []
        self.complaints: list[str] = []
        options = {"once": True, "hold_s": 0.5, **playing}
        self.client = KioskClient(
            web_url,
            device,
            Playing([str(source) for source in sources], **options),  # type: ignore[arg-type]
            self.decisions.append,
            self.complaints.append,
        )

    def to_its_end(self) -> Run:
        asyncio.run(asyncio.wait_for(self.client.run(), 60))
        return self


def play_kiosk(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "play_kiosk", *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def once_per_kiosk(answered: set[uuid.UUID], frame: Frame) -> list[Message]:
    looked = faces(frame, ([1, 2, 30, 40], "looking"), size=(320, 240))
    if frame.kiosk_id in answered:
        return [looked]
    answered.add(frame.kiosk_id)
    return [looked, decision(frame, employee="Jürgen Groß")]


def test_the_command_pairs_plays_and_prints_each_decision_as_a_json_line(
    web: WebServer, kiosk: Kiosk, worker: StandInWorker, image: Path, tmp_path: Path
) -> None:
    answered: set[uuid.UUID] = set()
    worker.answer = lambda frame: once_per_kiosk(answered, frame)
    code = kiosks.new_pairing_code(kiosk, by=None)
    file = tmp_path / "identity.json"
    base = ("--url", web.url, "--identity", file, "--once", "--hold", "0.5", image)

    first = play_kiosk("--pair", code, *base)
    assert first.returncode == 0, first.stderr
    (line,) = first.stdout.splitlines()
    result = json.loads(line)
    assert result.pop("frame_to_result_ms") >= 0
    assert uuid.UUID(result.pop("presentation"))
    assert result == {
        "outcome": "ACCEPTED",
        "employee": "Jürgen Groß",
        "direction": "IN",
        "at": "2026-03-02T09:02:11+00:00",
        "reason": None,
        "repeat": False,
        "source": str(image),
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["kiosk"] == str(kiosk.pk)

    again = play_kiosk(*base)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert worker.rests == 2

    wrong = play_kiosk("--pair", code, *base)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "pairing code is wrong, used or older" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_command_says_what_is_missing_without_a_traceback(tmp_path: Path, image: Path) -> None:
    port = free_port()
    base = ("--url", f"http://127.0.0.1:{port}", "--once", "--patience", "0.5", image)
    unpaired = play_kiosk("--identity", tmp_path / "new.json", *base)
    assert unpaired.returncode == 1
    assert "--pair CODE" in unpaired.stderr
    unreachable = play_kiosk("--identity", tmp_path / "new.json", "--pair", "AAAAA-AAAAA", *base)
    assert unreachable.returncode == 1
    assert "does not answer" in unreachable.stderr
    assert "Traceback" not in unpaired.stderr + unreachable.stderr


def test_a_server_that_is_not_there_is_given_up_after_the_patience(image: Path) -> None:
    device = Identity(Identity.new().key, uuid.uuid4())
    with pytest.raises(ClientError, match="Given up"):
        Run(f"http://127.0.0.1:{free_port()}", device, image, patience_s=0.3).to_its_end()


def test_a_device_that_is_not_accepted_ends_with_the_servers_message(
    web: WebServer, device: Identity, image: Path
) -> None:
    stranger = Identity(Identity.new().key, device.kiosk)
    with pytest.raises(ClientError, match="NOT_AUTHENTICATED"):
        Run(web.url, stranger, image).to_its_end()


def test_a_kiosk_revoked_while_it_plays_ends(
    web: WebServer, device: Identity, worker: StandInWorker, image: Path, kiosk: Kiosk
) -> None:
    def revoke(frame: Frame) -> list[Message]:
        kiosks.revoke_kiosk(Kiosk.objects.get(pk=kiosk.pk), by=None)
        return []

    worker.answer = revoke
    with pytest.raises(ClientError, match="REVOKED"):
        Run(web.url, device, image, hold_s=20).to_its_end()


def test_a_video_plays_at_its_own_speed_and_reaches_the_end(
    web: WebServer, device: Identity, worker: StandInWorker, tmp_path: Path
) -> None:
    Run(web.url, device, video(tmp_path / "clip.avi", 50), fps=30).to_its_end()
    times = [frame.captured_ms for frame in worker.frames]
    assert times == sorted(times)
    # 50 frames at 25 a second: sent as fast as they can be read they would come much sooner.
    assert times[-1] - times[0] > 1500
    brightness = [int(decoded(frame).mean()) for frame in worker.frames]
    assert brightness == sorted(brightness)
    assert brightness[-1] > 230


def decoded(frame: Frame) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(frame.image, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image)


def test_the_client_never_has_more_than_two_frames_on_their_way(
    web: WebServer, device: Identity, worker: StandInWorker, image: Path
) -> None:
    worker.answer = lambda frame: []
    Run(web.url, device, image, fps=30, hold_s=2.5).to_its_end()
    # Without answers two frames a second leave: each counts as lost after that time.
    assert 2 <= max(frame.sequence for frame in worker.frames) <= 8


def test_a_folder_plays_in_the_order_of_its_names_and_skips_what_is_no_image(
    web: WebServer, device: Identity, worker: StandInWorker, tmp_path: Path
) -> None:
    for number in range(4):
        grey = np.full((48, 64, 3), 60 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), grey)
    (tmp_path / "2b.jpg").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    Run(web.url, device, tmp_path, fps=5).to_its_end()
    assert [round(decoded(frame).mean() / 60) for frame in worker.frames] == [0, 1, 2, 3]


def test_several_sources_have_a_rest_between_them(
    web: WebServer, device: Identity, worker: StandInWorker, image: Path
) -> None:
    Run(web.url, device, image, image, image).to_its_end()
    assert worker.rests == 3


def test_wide_pictures_are_scaled_to_1280(
    web: WebServer, device: Identity, worker: StandInWorker, tmp_path: Path
) -> None:
    path = tmp_path / "wide.png"
    path.write_bytes(picture("PNG", (2560, 1440)))
    Run(web.url, device, path).to_its_end()
    assert decoded(worker.frames[0]).shape == (720, 1280, 3)


@pytest.mark.parametrize("content", [None, b"", b"garbage"])
@pytest.mark.parametrize("name", ["a.jpg", "a.mp4"])
def test_a_source_that_cannot_be_read_is_named(
    web: WebServer, device: Identity, tmp_path: Path, content: bytes | None, name: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    run = Run(web.url, device, path)
    with pytest.raises(ClientError, match="None of the sources"):
        run.to_its_end()
    assert any(str(path) in line for line in run.complaints)


async def test_a_server_killed_in_the_middle_is_found_again(
    device: Identity, worker: StandInWorker, image: Path
) -> None:
    server = WebServer()
    run = Run(server.url, device, image, hold_s=600)
    playing = asyncio.create_task(run.client.run())
    try:
        await asyncio.to_thread(until_frames, worker, 3)
        server.kill()
        seen = len(worker.frames)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(until_frames, worker, seen + 3)
        assert any("Trying again" in line for line in run.complaints)
        assert not playing.done()
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        server.kill()


def until_frames(worker: StandInWorker, count: int) -> None:
    until(lambda: len(worker.frames) >= count, f"{count} frames have come")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"private_key": "x", "kiosk": null}'])
def test_a_file_that_is_no_identity_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identity.json"
    path.write_text(content)
    with pytest.raises(IdentityError, match="no identity file"):
        identity.load(path)
    assert path.read_text() == content


def test_an_identity_survives_its_file(tmp_path: Path) -> None:
    made = Identity(Identity.new().key, uuid.uuid4(), "Haupteingang", "Köln")
    identity.save(made, tmp_path / "identity.json")
    read = identity.load(tmp_path / "identity.json")
    assert (read.kiosk, read.name, read.site) == (made.kiosk, made.name, made.site)
    assert read.public_key == made.public_key
