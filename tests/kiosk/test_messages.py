"""Workers' messages reach the kiosk that they are for, unchanged, and nobody else."""

from __future__ import annotations

import asyncio

from accesscontrol import notify
from tests.kiosk.conftest import NewDevice
from tests.kiosk.device import Device, Stream

DECISION = {
    "type": "decision",
    "presentation": "0b8cf6b7-7a2e-4b1e-9d53-0a4f1d2f8a11",
    "seq": 3,
    "outcome": "ACCEPTED",
    "employee": "Jürgen Groß",
    "direction": "IN",
    "at": "2026-03-02T09:02:11+01:00",
    "repeat": False,
    "reason": None,
}


async def test_a_decision_arrives_unchanged(device: Device) -> None:
    stream = Stream(device.kiosk.pk)
    await stream.open(device)
    await asyncio.to_thread(notify.send_to_kiosk, device.kiosk.pk, DECISION)
    assert await stream.message() == DECISION
    await stream.leave()


async def test_no_kiosk_sees_the_results_of_another(new_device: NewDevice) -> None:
    site = (await new_device()).kiosk.site
    mine, other = await new_device(site=site), await new_device(site=site)
    here, there = Stream(mine.kiosk.pk), Stream(other.kiosk.pk)
    await here.open(mine)
    await there.open(other)
    await asyncio.to_thread(notify.send_to_kiosk, mine.kiosk.pk, DECISION)
    assert await here.message() == DECISION
    # The answer to the ping is the first thing that the other one hears.
    assert await there.still_works()
    await here.leave()
    await there.leave()


async def test_who_has_not_proven_the_key_hears_nothing(device: Device) -> None:
    stream = Stream(device.kiosk.pk)
    await stream.challenge()
    await asyncio.to_thread(notify.send_to_kiosk, device.kiosk.pk, DECISION)
    assert await stream.silent(0.3)
    await stream.leave()
