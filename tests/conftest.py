"""Real services for the tests that need them, started when the first one asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_django
import redis
from django.conf import settings
from django.db import connections

from accesscontrol.celery import waker
from accesscontrol.environment import database_settings
from accesscontrol.frames import FrameOutlet
from tests.plugin import TEST_HOME
from tests.services import ServiceURLs, running_services


@pytest.fixture(scope="session")
def service_urls() -> Iterator[ServiceURLs]:
    """PostgreSQL with pgvector and Valkey: those of the environment, else embedded ones."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if database_url and redis_url:
        yield ServiceURLs(database_url, redis_url)
        return
    with running_services(TEST_HOME) as urls:
        yield urls


@pytest.fixture(scope="session")
def django_db_modify_db_settings(service_urls: ServiceURLs) -> None:
    """Point Django to the test services before the test database is made."""
    found = database_settings(service_urls.database_url)
    # A pool would keep connections open that stand in the way of dropping the test database.
    found["OPTIONS"] = {"connect_timeout": 5}
    connections["default"].settings_dict.update(found)
    _use_redis(service_urls.redis_url)


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[None]:
    """End what threads of asynchronous tests left open, so that the database can be dropped."""
    yield
    with django_db_blocker.unblock(), connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _use_redis(url: str) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = url
    caches: dict[str, Any] = settings.CACHES["default"]
    caches["LOCATION"] = url
    layers: dict[str, Any] = settings.CHANNEL_LAYERS
    layers["default"]["CONFIG"]["hosts"] = [url]
    waker.conf.update(broker_url=url)


@pytest.fixture
def valkey(django_db_modify_db_settings: None) -> Iterator[redis.Redis]:
    """An empty Valkey, emptied again after the test."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def outlet(valkey: redis.Redis) -> FrameOutlet:
    """The workers' side of the slots."""
    return FrameOutlet(valkey)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home folder for a whole installation, with the shared models in it."""
    for shared in ("models", "cache"):
        (tmp_path / shared).symlink_to((TEST_HOME / shared).resolve())
    return tmp_path
