"""Refuses requests that are too large before anything of them is read.

Django's ASGI handler reads a request's whole body before any view or login is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LENGTH_REQUIRED, TOO_LARGE = 411, 413


class LimitedRequests:
    """ASGI middleware: 413 for a body over `limit` bytes, 411 for one of unknown length."""

    def __init__(self, application: Application, limit: int) -> None:
        self._application = application
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" in headers:
            await _refuse(send, LENGTH_REQUIRED, "Send the length of the request.")
        elif not length.isdigit() or int(length) > self._limit:
            megabytes = self._limit // 2**20
            await _refuse(
                send, TOO_LARGE, f"Too much at once. Send at most {megabytes} MB in one request."
            )
        else:
            await self._application(scope, receive, send)


async def _refuse(send: Send, status: int, message: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode()})
