"""A device's identity: its private key and the kiosk that it was paired as, in one file.

The file is JSON, mode 0600: `{"private_key": PEM, "kiosk": UUID or null, "name", "site"}`.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from accesscontrol.kiosks import proof_message
from kiosk import protocol

PAIR_TIMEOUT_S = 15.0


class IdentityError(Exception):
    """The identity cannot be read, made or paired; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A P-256 key, and the kiosk that it belongs to once it is paired."""

    key: ec.EllipticCurvePrivateKey
    kiosk: UUID | None = None
    name: str = ""
    site: str = ""

    @classmethod
    def new(cls) -> Identity:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> str:
        """SubjectPublicKeyInfo (DER) in base64."""
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def prove(self, nonce: bytes) -> bytes:
        """Sign a challenge: r and s, 32 bytes each. Raises IdentityError if not paired."""
        if self.kiosk is None:
            raise IdentityError("This device is not paired yet. Start it once with --pair CODE.")
        der = self.key.sign(proof_message(self.kiosk, nonce), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32) + s.to_bytes(32)


def load(path: Path) -> Identity:
    """Read the identity; a new one, not paired, if there is no file. Raises IdentityError."""
    try:
        content = json.loads(path.read_bytes())
        key = serialization.load_pem_private_key(content["private_key"].encode(), None)
        kiosk = UUID(content["kiosk"]) if content["kiosk"] else None
        name, site = str(content["name"]), str(content["site"])
    except FileNotFoundError:
        return Identity.new()
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IdentityError(
            f"{path} is no identity file. Move it away, then pair again with --pair CODE."
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise IdentityError(f"{path} holds no P-256 key. Move it away and pair again.")
    return Identity(key, kiosk, name, site)


def save(identity: Identity, path: Path) -> None:
    """Write the identity, whole or not at all. Raises IdentityError."""
    content = {
        "private_key": identity.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "kiosk": str(identity.kiosk) if identity.kiosk else None,
        "name": identity.name,
        "site": identity.site,
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise IdentityError(f"{path} cannot be written: {error.strerror}.") from None


def pair(identity: Identity, url: str, code: str) -> Identity:
    """Register the key at the server and return the paired identity. Raises IdentityError."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise IdentityError(f"{url} is no server address. Write it like https://gatehouse.example")
    body = json.dumps({"code": code, "public_key": identity.public_key}).encode()
    request = urllib.request.Request(  # noqa: S310  # the scheme is checked
        url.rstrip("/") + protocol.PAIR_PATH, body, {"Content-Type": "application/json"}
    )
    # Kiosk and server stand in one network: the environment's proxies are not for them.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PAIR_TIMEOUT_S) as response:
            answer = json.load(response)
            return replace(
                identity,
                kiosk=UUID(answer["kiosk"]),
                name=str(answer["name"]),
                site=str(answer["site"]),
            )
    except urllib.error.HTTPError as error:
        raise IdentityError(_refusal(error)) from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise IdentityError(f"The server at {url} does not answer: {reason}") from None
    except (ValueError, KeyError, TypeError):
        raise IdentityError(f"{url} does not answer like a Gatehouse server.") from None


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"The server refused the pairing: {error.code} {error.reason}."
