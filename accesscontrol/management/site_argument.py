"""The --site argument that several commands share."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, OutputWrapper

from accesscontrol import sites
from accesscontrol.models import Site


def add_site_argument(parser: ArgumentParser) -> None:
    parser.add_argument("--site", required=True, help="name or short name of the site")


def site_named(text: str) -> Site:
    """Return the site; raises CommandError that lists the sites there are."""
    try:
        return sites.find_site(text)
    except sites.UnknownSiteError as error:
        raise CommandError(str(error)) from None


def site_named_or_first(text: str, stderr: OutputWrapper) -> Site:
    """Like `site_named`, but an installation without any site gets its first one."""
    if Site.objects.exists():
        return site_named(text)
    site = add_site(text)
    stderr.write(
        f"Added the first site, “{site.name}” ({site.slug}), with the time zone {site.time_zone}. "
        "Change it in the admin."
    )
    return site


def add_site(name: str, *, slug: str = "", **fields: Any) -> Site:
    """Add a site; raises CommandError that says what is wrong with it."""
    try:
        return sites.new_site(name, None, slug=slug, **fields)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
