"""Sealing and rotation. No database."""

from __future__ import annotations

import secrets

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accesscontrol.crypto import (
    NONCE_BYTES,
    SealError,
    keyed_digest,
    rotate,
    rotation_matrix,
    seal,
    unseal,
)
from tests.enrolled import turned, unit

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


class TestSeal:
    @given(st.binary(max_size=2000), st.text(max_size=60))
    def test_what_was_sealed_opens(self, plain: bytes, purpose: str) -> None:
        assert unseal(KEY, seal(KEY, plain, purpose), purpose) == plain

    def test_the_same_bytes_are_never_sealed_alike(self) -> None:
        assert len({seal(KEY, b"face", "photo:1") for _ in range(100)}) == 100

    def test_it_opens_with_no_other_key_or_purpose(self) -> None:
        sealed = seal(KEY, b"face", "photo:1")
        for key, purpose in ((OTHER, "photo:1"), (KEY, "photo:2"), (KEY, "frame:1"), (KEY, "")):
            with pytest.raises(SealError):
                unseal(key, sealed, purpose)

    @settings(max_examples=100)
    @given(st.data())
    def test_a_changed_bit_anywhere_is_found(self, data: st.DataObject) -> None:
        sealed = bytearray(seal(KEY, b"a face", "photo:1"))
        bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
        sealed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            unseal(KEY, bytes(sealed), "photo:1")

    @given(st.binary(max_size=100))
    def test_bytes_of_no_sense_do_not_open(self, noise: bytes) -> None:
        with pytest.raises(SealError):
            unseal(KEY, noise, "photo:1")

    @pytest.mark.parametrize("length", range(NONCE_BYTES + 17))
    def test_cut_off_bytes_do_not_open(self, length: int) -> None:
        with pytest.raises(SealError):
            unseal(KEY, seal(KEY, b"face", "photo:1")[:length], "photo:1")

    def test_the_error_does_not_name_the_person(self) -> None:
        with pytest.raises(SealError, match=r"^cannot unseal photo$"):
            unseal(KEY, secrets.token_bytes(50), "photo:1234")


def test_a_digest_depends_on_bytes_and_key() -> None:
    digests = {keyed_digest(key, data) for key in (KEY, OTHER) for data in (b"a", b"b")}
    assert len(digests) == 4
    assert keyed_digest(KEY, b"a") == keyed_digest(KEY, b"a")
    assert all(len(digest) == 64 for digest in digests)


class TestRotation:
    @pytest.mark.parametrize("dimension", [1, 2, 3, 128, 192, 512])
    def test_the_matrix_is_orthogonal(self, dimension: int) -> None:
        matrix = rotation_matrix(KEY, dimension)
        assert np.abs(matrix @ matrix.T - np.eye(dimension)).max() < 1e-12

    def test_it_is_the_same_for_ever(self) -> None:
        """Templates live longer than releases: these figures must never change."""
        assert rotation_matrix(KEY, 192)[0, :3] == pytest.approx(FIRST_ROW, abs=1e-12)

    def test_inner_products_stay_in_float32(self) -> None:
        faces = np.stack([unit(seed) for seed in range(50)] + [turned(unit(0), 0.7)])
        kept = rotate(faces, KEY)
        assert kept.dtype == np.float32
        assert np.abs(kept @ kept.T - faces @ faces.T).max() < 1e-5

    def test_inner_products_stay_in_half_precision(self) -> None:
        faces = np.stack([unit(seed) for seed in range(50)] + [turned(unit(0), 0.7)])
        kept = rotate(faces, KEY).astype(np.float16).astype(np.float32)
        assert np.abs(kept @ kept.T - faces @ faces.T).max() < 2e-3

    def test_a_rotated_face_says_nothing_of_the_plain_one(self) -> None:
        cosines = [float(unit(seed) @ rotate(unit(seed), KEY)) for seed in range(300)]
        assert abs(np.mean(cosines)) < 0.03
        assert max(map(abs, cosines)) < 0.35

    def test_two_installations_cannot_be_linked(self) -> None:
        cosines = [
            float(rotate(unit(seed), KEY) @ rotate(unit(seed), OTHER)) for seed in range(300)
        ]
        assert abs(np.mean(cosines)) < 0.03
        assert max(map(abs, cosines)) < 0.35

    def test_one_vector_and_a_row_of_many_are_rotated_alike(self) -> None:
        faces = np.stack([unit(1), unit(2)])
        assert np.allclose(rotate(faces, KEY)[1], rotate(unit(2), KEY), atol=1e-7)

    def test_nobody_can_change_the_matrix(self) -> None:
        with pytest.raises(ValueError, match="read-only"):
            rotation_matrix(KEY, 192)[0, 0] = 1


FIRST_ROW = (-0.04232738840021222, 0.16628359512758897, 0.06855837804857715)
