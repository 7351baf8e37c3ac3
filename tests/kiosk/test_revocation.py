"""A revoked, newly paired or twice connected kiosk loses its open stream."""

from __future__ import annotations

import asyncio

import redis
from channels.db import database_sync_to_async
from django.utils import timezone

from accesscontrol import kiosks
from accesscontrol.frames import FrameOutlet
from accesscontrol.models import Kiosk
from kiosk.protocol import Close
from tests.kiosk.device import Device, Stream, new_key, public_der


async def opened(device: Device) -> Stream:
    stream = Stream(device.kiosk.pk)
    assert (await stream.open(device))["type"] == "ready"
    return stream


async def test_revoking_closes_the_open_stream_at_once(device: Device) -> None:
    stream = await opened(device)
    await database_sync_to_async(kiosks.revoke_kiosk)(device.kiosk, by=None)
    assert await stream.error() == "REVOKED"
    assert await stream.close_code() == Close.REVOKED


async def test_pairing_anew_closes_the_stream_of_the_old_key(device: Device) -> None:
    stream = await opened(device)
    code = kiosks.new_pairing_code(device.kiosk, by=None)
    await database_sync_to_async(kiosks.redeem_code)(code, public_der(new_key()))
    assert await stream.error() == "REVOKED"
    assert await stream.close_code() == Close.REVOKED


async def streams_until_refused(stream: Stream) -> None:
    while await stream.silent(0.05):
        await stream.frame()
    assert await stream.error() == "REVOKED"
    assert await stream.close_code() == Close.REVOKED


async def test_a_revocation_whose_message_is_lost_ends_the_stream_all_the_same(
    device: Device, outlet: FrameOutlet
) -> None:
    stream = await opened(device)
    await stream.frame()
    assert await stream.still_works()
    Kiosk.objects.filter(pk=device.kiosk.pk).update(revoked_at=timezone.now())
    await asyncio.wait_for(streams_until_refused(stream), timeout=5)


async def test_a_new_key_whose_message_is_lost_ends_the_stream_all_the_same(
    device: Device,
) -> None:
    stream = await opened(device)
    await stream.frame()
    Kiosk.objects.filter(pk=device.kiosk.pk).update(public_key="another")
    await asyncio.wait_for(streams_until_refused(stream), timeout=5)


async def test_no_frame_of_a_kiosk_revoked_during_the_handshake_is_taken(
    device: Device, valkey: redis.Redis
) -> None:
    stream = await opened(device)
    Kiosk.objects.filter(pk=device.kiosk.pk).update(revoked_at=timezone.now())
    await stream.frame()
    assert await stream.error() == "REVOKED"
    assert not valkey.keys("slot*")
    await stream.leave()


async def test_a_second_connection_of_the_same_kiosk_closes_the_first(device: Device) -> None:
    first = await opened(device)
    second = await opened(device)
    assert await first.error() == "CONNECTED_ELSEWHERE"
    assert await first.close_code() == Close.CONNECTED_ELSEWHERE
    assert await second.still_works()
    await second.leave()


async def test_of_many_connections_at_once_exactly_one_stays(device: Device) -> None:
    streams = [Stream(device.kiosk.pk) for _ in range(4)]
    await asyncio.gather(*(stream.open(device) for stream in streams))
    await asyncio.sleep(0.3)
    open_still = []
    for stream in streams:
        await stream.say({"type": "ping"})
        message = await stream.message()
        open_still += [stream] if message["type"] == "pong" else []
        await stream.leave()
    assert len(open_still) == 1
