"""The installation's settings as typed values: every environment variable is declared here.

Only `accesscontrol.settings` calls this. A value of the wrong form stops the start with a
message that names the variable and says what it should look like.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent

CommaSeparated = Annotated[list[str], NoDecode]


class Environment(BaseSettings):
    """What the process environment may say. Field names are the variables' names, lower-cased."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    gatehouse_home: Path = PROJECT / "var"
    """Folder of everything that is kept: database, keys, models, logs."""
    gatehouse_keyring: Path | None = None
    """File of the secret keys; default `keys/keyring.json` below the home folder."""
    database_url: str | None = None
    redis_url: str | None = None
    gatehouse_debug: bool = False
    gatehouse_allowed_hosts: CommaSeparated = ["localhost", "127.0.0.1", "[::1]"]
    gatehouse_trusted_origins: CommaSeparated = []
    gatehouse_tls: bool = False
    """True where a TLS proxy stands in front and sets X-Forwarded-Proto."""
    gatehouse_device: Literal["auto", "cpu", "cuda"] = "auto"
    gatehouse_embedder: str = Field(default="fused", pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")
    """Which embedder workers load: fused; mobilefacenet, its first part alone; or the name of one
    added with: python -m recognition import-model"""
    gatehouse_precision: Literal["auto", "float32", "reduced"] = "auto"
    """Of the networks: reduced is 16 bits, which auto takes where the processor is made for it."""
    gatehouse_torch_threads: int = Field(default=1, ge=1, le=64)
    gatehouse_log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("gatehouse_allowed_hosts", "gatehouse_trusted_origins", mode="before")
    @classmethod
    def split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("gatehouse_trusted_origins")
    @classmethod
    def origins_have_a_scheme(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not origin.startswith(("https://", "http://")):
                raise ValueError(f"{origin!r} must start with https:// or http://")
        return value

    @field_validator("gatehouse_home", "gatehouse_keyring")
    @classmethod
    def absolute(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            return value.expanduser().absolute()
        except RuntimeError:
            raise ValueError(f"there is no home folder for {value.parts[0]}") from None

    @field_validator("database_url")
    @classmethod
    def is_postgres(cls, value: str | None) -> str | None:
        if value and not _is_url(value, {"postgres", "postgresql"}):
            raise ValueError("must be postgresql://user:password@host:port/name")
        return value

    @field_validator("redis_url")
    @classmethod
    def is_redis(cls, value: str | None) -> str | None:
        if value and not _is_url(value, {"redis", "rediss"}):
            raise ValueError("must be redis://:password@host:port/0 (or rediss:// for TLS)")
        return value

    @property
    def keyring_path(self) -> Path:
        return self.gatehouse_keyring or self.gatehouse_home / "keys" / "keyring.json"


def _is_url(value: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # its own text may quote a part of the password
        return False
    return parts.scheme in schemes and port != 0


def read_environment() -> Environment:
    """Return the validated environment.

    Raises ImproperlyConfigured naming each variable that is wrong and why.
    """
    try:
        return Environment()
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc']).upper()}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        ]
        message = "Gatehouse cannot start, the environment has bad values:\n" + "\n".join(lines)
        raise ImproperlyConfigured(message) from None


def embedded_services(home: Path) -> dict[str, str]:
    """Return the URLs that `manage.py up` left for its embedded services; empty if none."""
    path = home / "services.json"
    try:
        services = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{path} is not valid JSON ({error}). Delete it and run: manage.py up"
        ) from None
    if not isinstance(services, dict):
        raise ImproperlyConfigured(f"{path} holds no object. Delete it and run: manage.py up")
    return {str(key): str(value) for key, value in services.items()}


def database_settings(url: str | None) -> dict[str, object]:
    """Turn a postgresql:// URL into Django's DATABASES entry; its query holds libpq's options.

    Without a URL the entry points at a port where nothing listens, so that every query fails
    and the system check `gatehouse.E002` can say what to do.
    """
    parts = urlsplit(url or "postgresql://gatehouse@127.0.0.1:1/gatehouse")
    if not parts.hostname or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL needs a host and a database name: postgresql://user:password@host:5432/name"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": str(parts.port or 5432),
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            **dict(parse_qsl(parts.query)),  # libpq's own, like sslmode
            "pool": {"min_size": 1, "max_size": 16, "timeout": 5},
        },
    }
