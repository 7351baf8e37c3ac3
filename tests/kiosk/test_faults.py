"""What goes wrong in the server ends at most one stream, with a clear word and no traceback."""

# mypy: allow-untyped-calls

from __future__ import annotations

import subprocess
import sys

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import OperationalError

from accesscontrol.asgi import application
from accesscontrol.frames import FrameInlet, FrameOutlet
from kiosk import authentication
from kiosk.protocol import Close
from tests.kiosk.device import Device, Stream
from tests.services import PROJECT


async def test_an_unexpected_error_closes_the_stream_and_tells_nothing_of_its_cause(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    stream = Stream(device.kiosk.pk)
    await stream.open(device)
    monkeypatch.setattr(FrameInlet, "put", broken)
    await stream.frame()
    message = await stream.message()
    assert message["code"] == "INTERNAL"
    assert "secret" not in message["message"]
    assert await stream.close_code() == Close.INTERNAL


async def test_no_frame_is_taken_while_the_database_cannot_confirm_the_kiosk(
    device: Device, outlet: FrameOutlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> bool:
        raise OperationalError

    stream = Stream(device.kiosk.pk)
    await stream.open(device)
    with monkeypatch.context() as patch:
        patch.setattr(authentication, "still_holds", away)
        await stream.frame()
        assert await stream.error() == "BUSY"
        assert outlet.waiting() == 0
    await stream.frame()
    assert await stream.still_works()
    assert outlet.waiting() == 1
    await stream.leave()


async def test_without_the_database_a_handshake_is_put_off(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(authentication, "proven_kiosk", away)
    stream = Stream(device.kiosk.pk)
    assert (await stream.open(device))["code"] == "BUSY"
    assert await stream.close_code() == Close.BUSY


@pytest.mark.parametrize("path", ["/", "/kiosk/stream/", "/kiosk/stream/7", "/kiosk/stream/../x"])
async def test_an_unknown_path_is_refused_quietly(path: str) -> None:
    scope = {"type": "websocket", "path": path, "headers": []}
    socket = ApplicationCommunicator(application, scope)
    await socket.send_input({"type": "websocket.connect"})
    event = await socket.receive_output(timeout=10)
    assert event["type"] == "websocket.close"


def test_the_web_process_imports_neither_opencv_nor_torch() -> None:
    program = (
        "import sys, accesscontrol.asgi, django.urls; django.urls.reverse('kiosk');"
        "sys.exit(', '.join({'cv2', 'torch', 'recognition'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
