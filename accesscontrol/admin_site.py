"""The admin site: unfold's, with the content security policy that it needs.

Outside the `admin` package, whose modules register with the site as they are imported.
"""

# mypy: allow-subclassing-any
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

# Alpine evaluates the expressions in unfold's templates ('unsafe-eval'), and unfold, htmx and
# Alpine write style elements and attributes. Inline scripts stay forbidden: a name that smuggled
# in markup could still not run any script.
ADMIN_POLICY = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


class GatehouseAdminSite(UnfoldAdminSite):
    """Relaxes the policy of the admin's own pages; every other page keeps the strict one."""

    index_title = _("Overview")

    def admin_view(
        self, view: Callable[..., Any], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        inner: Callable[..., HttpResponseBase] = super().admin_view(view, cacheable)
        return csp_replace(ADMIN_POLICY)(inner)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        view = partial(super().login, extra_context=extra_context)
        return csp_replace(ADMIN_POLICY)(view)(request)
