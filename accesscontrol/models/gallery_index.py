"""The approximate index of one site's gallery, and whether searches may use it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class GalleryIndex(models.Model):
    """An HNSW over one site's templates of one model version and rotation.

    `accesscontrol_nearest` (migration 0005) goes by the index only while `in_use` holds, which
    takes a measured recall; from the commit that ends it every search there is exact.
    """

    site = models.ForeignKey(
        "accesscontrol.Site",
        models.CASCADE,
        related_name="gallery_indexes",
        verbose_name=_("site"),
    )
    model_version = models.ForeignKey("accesscontrol.ModelVersion", models.PROTECT)
    rotation_id = models.CharField(max_length=16)
    templates = models.PositiveIntegerField(_("templates"), help_text=_("At the last check."))
    recall = models.FloatField(_("recall"), null=True, blank=True)
    probes = models.PositiveIntegerField(_("probes"), default=0)
    ef_search = models.PositiveSmallIntegerField(
        default=200, help_text=_("Entries that a search keeps in view: more find more, slower.")
    )
    in_use = models.BooleanField(_("in use"), default=False)
    built_at = models.DateTimeField(_("built at"), auto_now_add=True)
    checked_at = models.DateTimeField(_("checked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("gallery index")
        verbose_name_plural = _("gallery indexes")
        constraints = [
            models.UniqueConstraint(
                fields=["site", "model_version", "rotation_id"], name="one_index_a_gallery"
            ),
            models.CheckConstraint(
                condition=models.Q(in_use=False)
                | models.Q(recall__isnull=False, recall__gte=0.999),
                name="gallery_index_in_use_finds_whom_exact_search_finds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.site_id}/{self.model_version_id}/{self.rotation_id}"
