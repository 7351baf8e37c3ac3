"""System checks: what is missing or unsafe in this installation, and how to mend it.

`manage.py check` looks at the machine itself; with `--database default` also at PostgreSQL, with
`--deploy` also at Redis and at what matters in production. Whatever asks over the network gives up
after two seconds, and none of it runs before commands that do not ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import redis
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from accesscontrol import embedders, keyring, model_versions, pad
from accesscontrol.models import ModelVersion, PadPolicy, Site, Threshold

TIMEOUT_S = 2
PGVECTOR_AT_LEAST = (0, 8, 2)
SECRET_LENGTH = 40
PLACEHOLDERS = ("insecure", "changeme", "change-me", "change_me", "placeholder", "secret-key")

Apps = Sequence[AppConfig] | None


@register(Tags.security)
def keyring_is_safe(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """E001: the file of the secret keys is there, whole, and nobody else's to read."""
    path = settings.KEYRING_PATH
    try:
        keyring.load(path)
    except keyring.KeyringError as error:
        return [Error(str(error), id="gatehouse.E001")]
    except OSError as error:
        return [
            Error(
                f"The keyring at {path} cannot be read: {error.strerror}.",
                hint=f"Make it readable for the user that runs Gatehouse: chown USER {path}",
                id="gatehouse.E001",
            )
        ]
    return []


@register(Tags.security)
def secret_key_is_secret(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """E005: sessions are signed with a key that nobody can guess."""
    try:
        key = str(settings.SECRET_KEY)
    except ImproperlyConfigured:
        return []  # there is no keyring: E001 says so
    placeholder = any(word in key.lower() for word in PLACEHOLDERS)
    if len(key) >= SECRET_LENGTH and len(set(key)) >= 12 and not placeholder:
        return []
    return [
        Error(
            "The secret key is short or a placeholder: anyone could sign in as anybody.",
            hint=(
                f"Put {SECRET_LENGTH} or more random characters as `django` into "
                f"{settings.KEYRING_PATH}, for example from: python -c 'import secrets; "
                "print(secrets.token_urlsafe(50))'"
            ),
            id="gatehouse.E005",
        )
    ]


@register(Tags.database)
def database_is_fit(
    app_configs: Apps, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """E002, E003, W007, W009, W010, W012: PostgreSQL answers, has pgvector; sites are set up."""
    if "default" not in (databases or ()):
        return []
    known = connections["default"].settings_dict
    try:
        with psycopg.connect(
            host=known["HOST"],
            port=known["PORT"],
            dbname=known["NAME"],
            user=known["USER"],
            password=known["PASSWORD"],
            connect_timeout=TIMEOUT_S,
        ) as connection:
            version = pgvector_version(connection)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "no answer"
        return [
            Error(
                f"The database at {known['HOST']}:{known['PORT']} does not answer ({reason}).",
                hint="Start it with: manage.py up. Or set DATABASE_URL to your own server.",
                id="gatehouse.E002",
            )
        ]
    return [
        *_pgvector_is_fit(version),
        *_sites_have_thresholds(),
        *_model_in_use_is_here(),
        *_sites_tell_faces_from_pictures(),
    ]


def pgvector_version(connection: psycopg.Connection[Any]) -> str | None:
    """The version in use or, before the first migration, the one that it will install."""
    row = connection.execute(
        "SELECT coalesce(installed_version, default_version) FROM pg_available_extensions"
        " WHERE name = 'vector'"
    ).fetchone()
    return str(row[0]) if row else None


def _pgvector_is_fit(version: str | None) -> list[CheckMessage]:
    wanted = ".".join(map(str, PGVECTOR_AT_LEAST))
    if version is None:
        return [
            Error(
                "PostgreSQL has no pgvector: faces cannot be searched.",
                hint=f"Install pgvector {wanted} or newer on the database server, or use the "
                "embedded one: unset DATABASE_URL and run manage.py up.",
                id="gatehouse.E003",
            )
        ]
    found = tuple(int(part) for part in version.split(".") if part.isdigit())
    if found >= PGVECTOR_AT_LEAST:
        return []
    return [
        Error(
            f"pgvector {version} is too old, Gatehouse needs {wanted}.",
            hint="Upgrade it on the database server, then run there: "
            "ALTER EXTENSION vector UPDATE;",
            id="gatehouse.E003",
        )
    ]


def _sites_have_thresholds() -> list[CheckMessage]:
    introspection = connections["default"].introspection
    migrated = introspection.installed_models(introspection.table_names())
    version = model_versions.active() if {Site, ModelVersion, Threshold} <= migrated else None
    if version is None:
        return []
    without = Site.objects.filter(is_active=True).exclude(thresholds__model_version=version)
    hint = "Set one in the admin, on the site's page."
    if not version.calibration:
        hint = (
            "The model has no calibration to take one from. Calibrate it, then restart the "
            f"workers: {model_versions.calibrate_command(version)}"
        )
    return [
        CheckWarning(
            f"The site “{site}” has no threshold for the model in use, {version}: nobody is "
            "accepted there.",
            hint=hint,
            id="gatehouse.W007",
        )
        for site in without
    ]


def _model_in_use_is_here() -> list[CheckMessage]:
    """W012: workers of this machine can load the model that is in use; they follow it."""
    introspection = connections["default"].introspection
    migrated = introspection.installed_models(introspection.table_names())
    version = model_versions.active() if ModelVersion in migrated else None
    # Of ours only the workers know the SHA-256; here their names are enough.
    ours = version is not None and version.name in embedders.REGISTERED_AS.values()
    if version is None or ours or version.sha256 in embedders.imported().values():
        return []
    return [
        CheckWarning(
            f"{version} is the model in use, but it is not in {settings.MODELS_DIR}: workers on "
            "this machine accept nobody.",
            hint=f"Add it with: {embedders.IMPORT}. Or change to another one with: manage.py "
            "change_model start MODEL",
            id="gatehouse.W012",
        )
    ]


def _sites_tell_faces_from_pictures() -> list[CheckMessage]:
    """W009, W010: sites that accept photos, and sites that accept nobody for want of a model."""
    introspection = connections["default"].introspection
    table = "accesscontrol_site"
    with connections["default"].cursor() as cursor:
        if table not in introspection.table_names(cursor):
            return []
        columns = {row.name for row in introspection.get_table_description(cursor, table)}
    if "pad_policy" not in columns:
        return []  # not migrated yet
    active = Site.objects.filter(is_active=True)
    messages: list[CheckMessage] = [
        CheckWarning(
            f"The site “{site}” has no presentation attack detection: a photo of an employee "
            "opens the door.",
            hint=f"Install its model with: {pad.INSTALL}. Then switch it on, on the site's page.",
            id="gatehouse.W009",
        )
        for site in active.filter(pad_policy=PadPolicy.OFF)
    ]
    if not pad.is_installed():
        messages += [
            CheckWarning(
                f"The site “{site}” asks for presentation attack detection, but its model is not "
                f"in {settings.MODELS_DIR}: a worker on this machine accepts nobody there.",
                hint=f"Install it with: {pad.INSTALL}",
                id="gatehouse.W010",
            )
            for site in active.exclude(pad_policy=PadPolicy.OFF)
        ]
    return messages


@register("redis", deploy=True)
def redis_answers(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """E004: the broker of the workers and the place of the kiosks' frames answers."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        ) as client:
            client.ping()
    except redis.RedisError as error:
        return [
            Error(
                f"Redis or Valkey does not answer ({type(error).__name__}): no frame reaches a "
                "worker.",
                hint="Start it with: manage.py up. Or set REDIS_URL to your own server.",
                id="gatehouse.E004",
            )
        ]
    return []


@register()
def models_are_fetched(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """W006: the face models lie where the workers look for them."""
    if (settings.MODELS_DIR / "manifest.json").is_file():
        return []
    return [
        CheckWarning(
            f"There are no face models in {settings.MODELS_DIR}: workers cannot recognise anybody.",
            hint="Fetch them once with: python -m recognition fetch-models",
            id="gatehouse.W006",
        )
    ]


@register()
def embedder_is_there(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """W011: the embedder that an installation begins with is one of ours, or was imported."""
    imported = embedders.imported()
    if settings.EMBEDDER in embedders.BUILT_IN or settings.EMBEDDER in imported:
        return []
    known = ", ".join([*embedders.BUILT_IN, *sorted(imported)])
    return [
        CheckWarning(
            f"GATEHOUSE_EMBEDDER names {settings.EMBEDDER}, which is not in "
            f"{settings.MODELS_DIR}: the first worker of an installation cannot start here.",
            hint=f"Name one that is there ({known}), or add it with: {embedders.IMPORT}",
            id="gatehouse.W011",
        )
    ]


@register(Tags.security, deploy=True)
def debug_is_off(app_configs: Apps, **_: Any) -> list[CheckMessage]:
    """E008: error pages do not show settings and rows to whoever provokes an error."""
    if not settings.DEBUG:
        return []
    return [
        Error(
            "Debugging is on: error pages show code, settings and people's data.",
            hint="Unset GATEHOUSE_DEBUG.",
            id="gatehouse.E008",
        )
    ]
