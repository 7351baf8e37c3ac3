"""The state of every gallery: is it whole, and does its index find whom the exact search finds?"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from django.conf import settings

from accesscontrol import gallery_index, keyring, model_versions
from accesscontrol.gallery_index import Gallery, Recall
from accesscontrol.models import Site

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GalleryState:
    """What was found of one site's gallery.

    missing and surplus: entries that are not as the templates say; not 0 only if somebody wrote
    past the triggers. index: "none", "in use", or "given up", when searches are exact again.
    """

    site: str
    people: int
    templates: int
    missing: int
    surplus: int
    index: str
    measured: Recall | None

    @property
    def is_sound(self) -> bool:
        return not self.missing and not self.surplus and self.index != "given up"


def check(sites: Iterable[Site], *, probes: int, tend: bool) -> list[GalleryState]:
    """Look at the galleries of the active model under the current rotation.

    An index whose recall has fallen goes out of use here and now. With `tend` indexes are also
    built and removed as sizes ask for. No model version yet: nothing to check. Outside a
    transaction.
    """
    versions = model_versions.kept()
    if not versions:
        return []
    rotation_id = keyring.load(settings.KEYRING_PATH).templates.current
    every = list(sites)
    if tend:
        for old in gallery_index.outdated(versions, rotation_id):
            gallery_index.give_up(old)
        # The other model of a change, so that a switch finds its indexes ready.
        for site, version in product(every, versions[1:]):
            gallery_index.tend(Gallery(site, version, rotation_id), probes=probes)
    return [_state(Gallery(site, versions[0], rotation_id), probes, tend=tend) for site in every]


def _state(gallery: Gallery, probes: int, *, tend: bool) -> GalleryState:
    index = gallery.index()
    measured: Recall | None = None
    if tend:
        measured = gallery_index.tend(gallery, probes=probes)
    elif index is not None:
        measured = gallery_index.measure(gallery, probes=probes)
        if index.in_use and not gallery_index.judge(index, measured):
            logger.warning("site %s is searched exactly: its index lost people", gallery.site.pk)
    people, templates = gallery_index.count(gallery)
    missing, surplus = gallery_index.differences(gallery.site)
    if missing or surplus:
        logger.error("site %s: %s missing, %s surplus", gallery.site.pk, missing, surplus)
    now = gallery.index()
    state = "none" if now is None else "in use" if now.in_use else "given up"
    return GalleryState(str(gallery.site), people, templates, missing, surplus, state, measured)
