"""A request that is too large is refused before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from accesscontrol.request_limit import LimitedRequests, Receive, Scope, Send

LIMIT = 2**20


async def answers(headers: dict[bytes, bytes]) -> list[Mapping[str, Any]]:
    """What is sent for a request; nothing of the request may be read by the limit itself."""
    sent: list[Mapping[str, Any]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "passed"})

    async def receive() -> Mapping[str, Any]:
        pytest.fail("the body was read")

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": list(headers.items())}
    await LimitedRequests(application, LIMIT)(scope, receive, send)
    return sent


@pytest.mark.parametrize("length", [b"0", b"1048576"])
async def test_a_request_within_the_limit_passes(length: bytes) -> None:
    assert await answers({b"content-length": length}) == [{"type": "passed"}]


async def test_a_request_without_a_body_passes() -> None:
    assert await answers({}) == [{"type": "passed"}]


@pytest.mark.parametrize("length", [b"1048577", b"99999999999999999999", b"-1", b"x"])
async def test_a_larger_one_is_told_how_much_is_allowed(length: bytes) -> None:
    start, body = await answers({b"content-length": length})
    assert start["status"] == 413
    assert b"at most 1 MB" in body["body"]


async def test_a_body_of_unknown_length_is_refused() -> None:
    start, _ = await answers({b"transfer-encoding": b"chunked"})
    assert start["status"] == 411
