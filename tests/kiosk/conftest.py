"""Paired kiosks and their devices."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
import redis
from channels.db import database_sync_to_async
from cryptography.hazmat.primitives import serialization

from tests.factories import KioskFactory
from tests.kiosk.device import Device, new_key
from tests.kiosk.server import StandInWorker, WebServer, faces

NewDevice = Callable[..., Awaitable[Device]]


def make_device(**kiosk: Any) -> Device:
    """`paired=False`: the kiosk has no key yet."""
    key = new_key()
    if kiosk.get("paired") is False:
        return Device(KioskFactory.create(), key)
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Device(KioskFactory.create(paired=True, public_key=pem.decode(), **kiosk), key)


@pytest.fixture
def new_device(transactional_db: None, valkey: redis.Redis) -> NewDevice:
    """Makes devices of paired kiosks, to be awaited; takes the kiosk's fields."""
    return cast(NewDevice, database_sync_to_async(make_device))


@pytest.fixture
def device(transactional_db: None, valkey: redis.Redis) -> Device:
    return make_device()


@pytest.fixture(scope="session")
def web(django_db_setup: None) -> Iterator[WebServer]:
    """One web process for all tests that do not harm it."""
    server = WebServer()
    yield server
    server.kill()


@pytest.fixture
def worker(valkey: redis.Redis) -> Iterator[StandInWorker]:
    """Finds nobody in any frame, until the test sets another `answer`."""
    stand_in = StandInWorker(lambda frame: [faces(frame, size=(64, 48))])
    yield stand_in
    stand_in.stop()
