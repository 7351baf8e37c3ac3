"""Which web pages may open a stream: those of this server, and the origins that it trusts.

Programs that are no browser send no Origin and may: the kiosk's key is what lets them in.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain


def origin_allowed(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether these ASGI headers come from no browser, from our own pages or a trusted origin."""
    values = {name.lower(): value.decode("latin1") for name, value in headers}
    origin = values.get(b"origin")
    if origin is None:
        return True
    return _is_own(origin, values.get(b"host", "")) or _is_trusted(origin)


def _is_own(origin: str, host: str) -> bool:
    # A name that another site's owner points at this server is not ours.
    domain, _port = split_domain_port(host)
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        return False
    return origin.lower() in {f"http://{host}".lower(), f"https://{host}".lower()}


def _is_trusted(origin: str) -> bool:
    return any(_matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _matches(origin: str, trusted: str) -> bool:
    if "*" not in trusted:
        return origin == trusted
    try:
        asked, pattern = urlsplit(origin), urlsplit(trusted)
    except ValueError:
        return False
    return asked.scheme == pattern.scheme and is_same_domain(
        asked.netloc, pattern.netloc.lstrip("*")
    )
