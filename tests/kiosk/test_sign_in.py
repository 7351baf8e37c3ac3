"""Signing in over the kiosk's stream: the message, its answer, and what is no sign-in."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from channels.db import database_sync_to_async
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accesscontrol import credentials, kiosks
from accesscontrol.models import Decision, Employee, Punch
from kiosk import sign_ins
from kiosk.protocol import Close, Message, ProtocolError
from tests.factories import EmployeeFactory
from tests.kiosk.device import Device, Stream
from tests.sign_ins import BADGE, OTHER_PIN, PIN


@pytest_asyncio.fixture
async def stream(device: Device) -> AsyncIterator[Stream]:
    stream = Stream(device.kiosk.pk)
    await stream.open(device)
    yield stream
    await stream.leave()


@database_sync_to_async
def employee_of(device: Device) -> Employee:
    employee = EmployeeFactory.create(site=device.kiosk.site, number="42", name="Jürgen Groß")
    credentials.set_pin(employee, PIN, by=None)
    credentials.add_badge(employee, BADGE, by=None)
    return employee


@database_sync_to_async
def counted() -> tuple[int, int]:
    return Decision.objects.count(), Punch.objects.count()


def message(**fields: Any) -> Message:
    return {"type": "sign_in", "attempt": str(uuid.uuid4()), **fields}


async def say(stream: Stream, said: Message) -> Message:
    await stream.say(said)
    return await stream.message()


async def test_number_and_pin_are_answered_with_a_greeting(stream: Stream, device: Device) -> None:
    await employee_of(device)
    said = message(number=" 42 ", pin=PIN)
    answer = await say(stream, said)
    assert (answer["type"], answer["outcome"], answer["seq"]) == ("decision", "ACCEPTED", None)
    assert (answer["presentation"], answer["employee"]) == (said["attempt"], "Jürgen Groß")
    assert (answer["direction"], answer["repeat"], answer["reason"]) == ("IN", False, None)
    assert await counted() == (1, 1)


async def test_a_badge_alone_too(stream: Stream, device: Device) -> None:
    await employee_of(device)
    answer = await say(stream, message(badge=BADGE.lower()))
    assert (answer["outcome"], answer["employee"]) == ("ACCEPTED", "Jürgen Groß")


async def test_the_same_message_twice_has_one_effect(stream: Stream, device: Device) -> None:
    await employee_of(device)
    said = message(number="42", pin=PIN)
    assert await say(stream, said) == await say(stream, said)
    assert await counted() == (1, 1)


async def test_a_wrong_pin_is_a_refusal_and_the_stream_goes_on(
    stream: Stream, device: Device
) -> None:
    await employee_of(device)
    answer = await say(stream, message(number="42", pin=OTHER_PIN))
    assert (answer["outcome"], answer["employee"]) == ("SIGN_IN_FAILED", None)
    assert await stream.still_works()


async def test_after_five_failures_it_says_to_wait(stream: Stream, device: Device) -> None:
    for _ in range(5):
        await say(stream, message(number="42", pin=OTHER_PIN))
    answer = await say(stream, message(number="42", pin=OTHER_PIN))
    assert (answer["outcome"], answer["seq"]) == ("THROTTLED", None)
    assert await counted() == (5, 0)
    assert await stream.still_works()


async def test_a_kiosk_revoked_meanwhile_is_shut_out(device: Device) -> None:
    await employee_of(device)
    stream = Stream(device.kiosk.pk)
    await stream.open(device)
    assert await stream.still_works()
    await database_sync_to_async(kiosks.revoke_kiosk)(device.kiosk, by=None)
    await stream.say(message(number="42", pin=PIN))
    assert await stream.error() == "REVOKED"
    assert await stream.close_code() == Close.REVOKED
    assert await counted() == (0, 0)


async def test_nobody_signs_in_before_the_key_is_proven(device: Device) -> None:
    await employee_of(device)
    stream = Stream(device.kiosk.pk)
    await stream.challenge()
    await stream.say(message(number="42", pin=PIN))
    assert await stream.error() == "NOT_AUTHENTICATED"
    assert await counted() == (0, 0)


HOSTILE: list[dict[str, Any]] = [
    {},
    {"number": "42"},
    {"pin": PIN},
    {"badge": ""},
    {"badge": None},
    {"badge": ["04A25F1B"]},
    {"badge": "x" * 201},
    {"badge": BADGE, "pin": PIN},
    {"number": "42", "pin": PIN, "badge": BADGE},
    {"number": "42", "pin": "27491a"},
    {"number": "42", "pin": "1" * 13},
    {"number": "42", "pin": 274918},
    {"number": "42", "pin": "٢٧٤٩١٨"},
    {"number": "", "pin": PIN},
    {"number": "4\x002", "pin": PIN},
    {"number": "4\u202e2", "pin": PIN},
    {"number": "4" * 41, "pin": PIN},
    {"number": {"$ne": ""}, "pin": PIN},
    {"number": "42", "pin": PIN, "attempt": "1"},
    {"number": "42", "pin": PIN, "attempt": None},
    {"number": "42", "pin": PIN, "presentation": str(uuid.uuid4())},
    {"pin": PIN, "presentation": "1"},
    {"number": "42", "pin": PIN, "employee": 1},
]


@pytest.mark.parametrize("fields", HOSTILE, ids=str)
async def test_what_is_no_sign_in_is_an_error_that_repeats_nothing(
    stream: Stream, fields: dict[str, Any]
) -> None:
    await stream.say(message() | fields)
    answer = await stream.message()
    assert (answer["type"], answer["code"]) == ("error", "UNEXPECTED_TEXT")
    assert PIN not in answer["message"]
    assert await counted() == (0, 0)
    assert await stream.still_works()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["attempt", "number", "pin", "badge", "presentation", "type"]), JSON
    )
)
@hypothesis_settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_fields_at_all_are_read_or_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(ProtocolError):
        attempt = sign_ins.parse({"type": "sign_in", **fields})
        assert attempt.pin or attempt.badge
