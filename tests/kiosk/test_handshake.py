"""Only the device that holds the kiosk's private key gets a stream."""

from __future__ import annotations

import os
import uuid

import pytest
import redis
from channels.db import database_sync_to_async
from django.utils import timezone

from accesscontrol import kiosks
from accesscontrol.models import KioskStatus
from kiosk import attempts, consumers, protocol
from kiosk.protocol import Close
from tests.kiosk.conftest import NewDevice
from tests.kiosk.device import Device, Stream


async def refusal(stream: Stream) -> tuple[str, str, int]:
    message = await stream.message()
    return message["code"], message["message"], await stream.close_code()


async def wrong_proof(kiosk_id: uuid.UUID, signature: bytes | None = None) -> tuple[str, str, int]:
    stream = Stream(kiosk_id)
    await stream.challenge()
    await stream.say(protocol.proof(os.urandom(64) if signature is None else signature))
    return await refusal(stream)


async def test_a_device_that_signs_the_challenge_is_told_the_kiosks_limits(device: Device) -> None:
    stream = Stream(device.kiosk.pk)
    ready = await stream.open(device)
    assert ready == {
        "type": "ready",
        "site": device.kiosk.site.name,
        "kiosk": device.kiosk.name,
        "smallest_face": device.kiosk.smallest_face,
        "max_bytes": 512 * 1024,
        "max_pixels": 4_000_000,
        "frame_interval_ms": 100,
    }
    assert KioskStatus.objects.get(kiosk=device.kiosk).last_seen_at is not None
    await stream.leave()


async def test_wrong_unknown_revoked_and_unpaired_look_the_same(new_device: NewDevice) -> None:
    revoked = await new_device(revoked_at=timezone.now())
    stream = Stream(revoked.kiosk.pk)
    nonce = await stream.challenge()
    await stream.say(protocol.proof(revoked.signature(nonce)))
    answers = {
        await refusal(stream),
        await wrong_proof((await new_device()).kiosk.pk),
        await wrong_proof((await new_device(paired=False)).kiosk.pk),
        await wrong_proof(uuid.uuid4()),
        await wrong_proof((await new_device()).kiosk.pk, b""),
        await wrong_proof((await new_device()).kiosk.pk, bytes(64)),
    }
    assert len(answers) == 1
    code, _message, close = answers.pop()
    assert (code, close) == ("NOT_AUTHENTICATED", Close.NOT_AUTHENTICATED)


async def test_another_kiosks_key_opens_nothing(new_device: NewDevice) -> None:
    mine, other = await new_device(), await new_device()
    for signed_for in (mine.kiosk.pk, other.kiosk.pk):
        stream = Stream(other.kiosk.pk)
        nonce = await stream.challenge()
        await stream.say(protocol.proof(mine.signature(nonce, signed_for)))
        assert (await refusal(stream))[0] == "NOT_AUTHENTICATED"


async def test_a_recorded_proof_opens_no_second_connection(device: Device) -> None:
    first, second = Stream(device.kiosk.pk), Stream(device.kiosk.pk)
    nonce = await first.challenge()
    recorded = protocol.proof(device.signature(nonce))
    await first.say(recorded)
    assert (await first.message())["type"] == "ready"
    assert await second.challenge() != nonce
    await second.say(recorded)
    assert (await refusal(second))[0] == "NOT_AUTHENTICATED"
    assert await first.still_works()
    await first.leave()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        '{"type": "rest"}',
        '{"type": "proof"}',
        '{"type": "proof", "signature": 7}',
        '{"type": "proof", "signature": "ÄÖÜ"}',
        '{"type": ["proof"]}',
        "[" * 1000,
        "x" * 100_000,
    ],
    ids=lambda text: text[:24],
)
async def test_anything_but_a_proof_is_refused(device: Device, text: str) -> None:
    stream = Stream(device.kiosk.pk)
    await stream.challenge()
    await stream.text(text)
    assert (await refusal(stream))[2] == Close.NOT_AUTHENTICATED


async def test_a_frame_before_the_proof_is_refused_and_goes_nowhere(
    device: Device, valkey: redis.Redis
) -> None:
    stream = Stream(device.kiosk.pk)
    await stream.challenge()
    await stream.frame()
    assert (await refusal(stream))[0] == "NOT_AUTHENTICATED"
    assert not valkey.keys("slot*")


async def test_who_does_not_answer_the_challenge_is_refused(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "PROOF_WITHIN_S", 0.05)
    stream = Stream(device.kiosk.pk)
    await stream.challenge()
    assert (await refusal(stream))[0] == "NOT_AUTHENTICATED"


async def test_a_right_proof_after_a_wrong_one_on_the_same_connection_is_too_late(
    device: Device,
) -> None:
    stream = Stream(device.kiosk.pk)
    nonce = await stream.challenge()
    await stream.say(protocol.proof(bytes(64)))
    await stream.say(protocol.proof(device.signature(nonce)))
    assert (await refusal(stream))[0] == "NOT_AUTHENTICATED"


async def test_five_failures_shut_even_the_right_device_out_for_30_seconds(
    device: Device, valkey: redis.Redis
) -> None:
    for _ in range(attempts.ALLOWED):
        assert (await wrong_proof(device.kiosk.pk))[0] == "NOT_AUTHENTICATED"
    stream = Stream(device.kiosk.pk)
    assert await stream.connect()
    assert (await refusal(stream))[::2] == ("THROTTLED", Close.THROTTLED)
    key = f"kiosk:attempts:{device.kiosk.pk}"
    assert 0 < valkey.ttl(key) <= attempts.REFUSED_S
    valkey.delete(key)  # as time does
    stream = Stream(device.kiosk.pk)
    assert (await stream.open(device))["type"] == "ready"
    await stream.leave()


async def test_many_connections_at_once_get_no_more_guesses(device: Device) -> None:
    streams = [Stream(device.kiosk.pk) for _ in range(12)]
    for stream in streams:
        await stream.challenge()
    for stream in streams:
        await stream.say(protocol.proof(os.urandom(64)))
    codes = [(await refusal(stream))[0] for stream in streams]
    assert codes.count("NOT_AUTHENTICATED") == attempts.ALLOWED
    assert codes.count("THROTTLED") == 12 - attempts.ALLOWED


async def test_failures_of_one_kiosk_do_not_touch_another(new_device: NewDevice) -> None:
    victim, bystander = await new_device(), await new_device()
    for _ in range(attempts.ALLOWED):
        await wrong_proof(victim.kiosk.pk)
    stream = Stream(bystander.kiosk.pk)
    assert (await stream.open(bystander))["type"] == "ready"
    await stream.leave()


async def test_a_success_forgets_the_failures_before_it(device: Device) -> None:
    for _ in range(2):
        for _ in range(attempts.ALLOWED - 1):
            await wrong_proof(device.kiosk.pk)
        stream = Stream(device.kiosk.pk)
        assert (await stream.open(device))["type"] == "ready"
        await stream.leave()


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([], True),
        ([(b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000")], True),
        ([(b"host", b"localhost:8000"), (b"origin", b"http://localhost:9000")], False),
        ([(b"host", b"localhost"), (b"origin", b"https://evil.example")], False),
        ([(b"host", b"evil.example"), (b"origin", b"https://evil.example")], False),
        ([(b"host", b"localhost"), (b"origin", b"null")], False),
        ([(b"host", b"localhost"), (b"origin", b"")], False),
        ([(b"host", b"10.0.0.1"), (b"origin", b"https://door.example")], True),
        ([(b"host", b"10.0.0.1"), (b"origin", b"https://a.doors.example")], True),
        ([(b"host", b"10.0.0.1"), (b"origin", b"http://a.doors.example")], False),
    ],
)
async def test_only_our_own_pages_may_open_a_stream(
    device: Device, settings: object, headers: list[tuple[bytes, bytes]], allowed: bool
) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [  # type: ignore[attr-defined]
        "https://door.example",
        "https://*.doors.example",
    ]
    stream = Stream(device.kiosk.pk, headers)
    assert await stream.connect() == allowed
    await stream.leave()


async def test_the_right_key_of_a_kiosk_revoked_meanwhile_is_refused(device: Device) -> None:
    stream = Stream(device.kiosk.pk)
    nonce = await stream.challenge()
    await database_sync_to_async(kiosks.revoke_kiosk)(device.kiosk, by=None)
    await stream.say(protocol.proof(device.signature(nonce)))
    assert (await refusal(stream))[0] == "NOT_AUTHENTICATED"
