"""Protection of biometric data at rest: photos, frames in transit between processes, templates.

Photos and frames are sealed with AES-256-GCM (NIST SP 800-38D). Templates are multiplied by a
secret orthogonal matrix of the installation (ISO/IEC 24745: renewable, unlinkable): inner
products, and so scores, stay what they were, while a leaked table cannot be compared with
another system's.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import lru_cache

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

NONCE_BYTES = 12


class SealError(Exception):
    """The sealed bytes were not made with this key for this purpose, or were changed."""


def seal(key: bytes, plain: bytes, purpose: str) -> bytes:
    """Return nonce + ciphertext + tag. `purpose` is authenticated, e.g. "photo:<id>"."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, purpose.encode())


def unseal(key: bytes, sealed: bytes, purpose: str) -> bytes:
    """Return the plain bytes; raises SealError if key, bytes or purpose differ."""
    sealed = bytes(sealed)
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], purpose.encode())
    except (InvalidTag, ValueError):
        raise SealError(f"cannot unseal {purpose.partition(':')[0]}") from None


def keyed_digest(key: bytes, data: bytes) -> str:
    """HMAC-SHA256 in hex: recognises equal bytes without revealing which bytes they are."""
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def rotate(embeddings: NDArray[np.float32], key: bytes) -> NDArray[np.float32]:
    """Multiply row vectors (N, D) or (D,) by the installation's secret orthogonal matrix.

    Inner products change by less than 1e-5 in float32.
    """
    matrix = rotation_matrix(key, embeddings.shape[-1])
    rotated: NDArray[np.float32] = (embeddings.astype(np.float64) @ matrix).astype(np.float32)
    return rotated


@lru_cache(maxsize=8)
def rotation_matrix(key: bytes, dimension: int) -> NDArray[np.float64]:
    """Return the Haar-distributed orthogonal matrix (D, D), float64, that `key` stands for.

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q (Mezzadri 2007). The
    Gaussian comes from SHAKE-256 by the Box-Muller transform rather than from a library's
    generator, because the matrix must be the same for as long as the templates live.
    """
    count = dimension * dimension
    pairs = (count + 1) // 2
    stream = hashlib.shake_256(b"gatehouse template rotation\0" + key).digest(16 * pairs)
    words = np.frombuffer(stream, dtype="<u8").astype(np.float64)
    uniform = ((words + 0.5) / 2.0**64).clip(2.0**-60, 1 - 2.0**-53).reshape(2, pairs)
    radius, angle = np.sqrt(-2 * np.log(uniform[0])), 2 * np.pi * uniform[1]
    gaussian = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
    q, r = np.linalg.qr(gaussian.reshape(dimension, dimension))
    matrix: NDArray[np.float64] = q * np.sign(np.diag(r))
    matrix.setflags(write=False)
    return matrix
