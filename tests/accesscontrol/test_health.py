"""/live and /ready tell the truth."""

from __future__ import annotations

import pytest
import redis
from django.db import connections
from django.test import Client
from pytest_django.fixtures import Settings

from accesscontrol.frames import FrameOutlet

pytestmark = pytest.mark.django_db

NOWHERE = "redis://127.0.0.1:1/0"


def test_a_process_that_answers_lives(client: Client) -> None:
    response = client.get("/live")
    assert (response.status_code, response.json()) == (200, {"live": True})


def test_it_lives_without_database_and_broker(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = NOWHERE
    assert client.get("/live").status_code == 200


def test_with_every_part_it_is_ready(client: Client, outlet: FrameOutlet) -> None:
    outlet.begin()
    response = client.get("/ready")
    assert response.status_code == 200
    assert response.json() == {"database": True, "redis": True, "worker": True}


def test_without_a_worker_it_is_not(client: Client, valkey: redis.Redis) -> None:
    response = client.get("/ready")
    assert response.status_code == 503
    assert response.json() == {"database": True, "redis": True, "worker": False}


def test_without_a_broker_it_is_not(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = NOWHERE
    response = client.get("/ready")
    assert response.status_code == 503
    assert response.json() == {"database": True, "redis": False, "worker": False}


@pytest.mark.django_db(transaction=True)
def test_without_a_database_it_is_not(client: Client, outlet: FrameOutlet) -> None:
    outlet.begin()
    database = connections["default"]
    port = database.settings_dict["PORT"]
    database.close()
    database.settings_dict["PORT"] = "1"
    try:
        response = client.get("/ready")
    finally:
        database.settings_dict["PORT"] = port
    assert response.status_code == 503
    assert response.json() == {"database": False, "redis": True, "worker": True}


@pytest.mark.parametrize("path", ["/live", "/ready"])
def test_nobody_keeps_an_old_answer(client: Client, path: str, valkey: redis.Redis) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]
    assert client.post(path).status_code == 405
