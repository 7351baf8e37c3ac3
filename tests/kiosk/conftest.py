"""Paired kiosks and their devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives import serialization

from tests.factories import KioskFactory
from tests.kiosk.device import Device, new_key


def make_device(**kiosk: Any) -> Device:
    key = new_key()
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Device(KioskFactory.create(paired=True, public_key=pem.decode(), **kiosk), key)


@pytest.fixture
def new_device(transactional_db: None, valkey: redis.Redis) -> Callable[..., Device]:
    """Makes devices of paired kiosks; takes the kiosk's fields."""
    return make_device


@pytest.fixture
def device(new_device: Callable[..., Device]) -> Device:
    return new_device()
