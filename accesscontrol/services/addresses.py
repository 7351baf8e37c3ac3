"""Where the embedded services listen and with which passwords: `<home>/services.json`."""

from __future__ import annotations

import json
import random
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from accesscontrol.services.errors import ServicesError
from accesscontrol.services.folders import write_private

LOOPBACK = "127.0.0.1"

# Below the kernel's usual range for outgoing connections (32768 and up): otherwise a port could
# be taken by some client in the moment in which a killed service is being restarted.
SERVICE_PORTS = range(15_000, 30_000)


@dataclass(frozen=True, slots=True)
class Address:
    """Port on the loopback interface, and the password that goes with it."""

    port: int
    password: str

    def __repr__(self) -> str:  # a traceback must not print the password
        return f"Address(port={self.port})"

    @property
    def database_url(self) -> str:
        return f"postgresql://gatehouse:{self.password}@{LOOPBACK}:{self.port}/gatehouse"

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"


@dataclass(frozen=True, slots=True)
class Addresses:
    """What `services.json` says; None for a service that was never started here."""

    postgres: Address | None = None
    valkey: Address | None = None

    def save(self, home: Path) -> None:
        urls = {}
        if self.postgres:
            urls["database_url"] = self.postgres.database_url
        if self.valkey:
            urls["redis_url"] = self.valkey.redis_url
        write_private(services_file(home), json.dumps(urls, indent=1) + "\n")


def services_file(home: Path) -> Path:
    return home / "services.json"


def load(home: Path) -> Addresses:
    """Read `services.json`; without the file, no address is known.

    Raises ServicesError when it is damaged: deleting it is safe, passwords are then set anew.
    """
    path = services_file(home)
    try:
        urls = json.loads(path.read_text())
        return Addresses(_parse(urls.get("database_url")), _parse(urls.get("redis_url")))
    except FileNotFoundError:
        return Addresses()
    except (ValueError, AttributeError, TypeError):
        raise ServicesError(
            f"{path} is damaged. Delete it and start again: new passwords are set then, no data "
            "is lost."
        ) from None


def renewed(address: Address | None) -> Address:
    """Return an address that can be listened on: the same one if its port is still free."""
    password = address.password if address else secrets.token_urlsafe(32)
    if address and is_free(LOOPBACK, address.port):
        return Address(address.port, password)
    return Address(_free_service_port(), password)


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on `host`:`port` now.

    Raises ServicesError if `host` is no address of this machine.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise ServicesError(f"Cannot listen on {host}: {error.strerror}.") from None
    with socket.socket(family, kind, protocol) as probe:
        # As the servers do; without it a port is refused for a minute after each stop.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
        except PermissionError:
            raise ServicesError(
                f"Port {port} needs root. Choose one above 1023: manage.py up --port 8000"
            ) from None
        except OSError:
            return False
    return True


def _free_service_port() -> int:
    for port in random.sample(SERVICE_PORTS, 200):
        if is_free(LOOPBACK, port):
            return port
    raise ServicesError(
        f"No free port on {LOOPBACK} between {SERVICE_PORTS.start} and {SERVICE_PORTS.stop}."
    )


def _parse(url: str | None) -> Address | None:
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.hostname != LOOPBACK or not parts.port or not parts.password:
        raise ValueError("not an address of ours")
    return Address(parts.port, parts.password)
