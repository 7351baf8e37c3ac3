"""The candidates of a decision: who was near, and how near."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

MOST_CANDIDATES = 5


class CandidateScore(models.Model):
    """One of the few employees nearest to a decision's probe, best first.

    Never edited, but for one thing (migration 0008): whoever withdraws their consent is taken out,
    and the score stays as that of another person.
    """

    decision = models.ForeignKey(
        "accesscontrol.Decision",
        models.CASCADE,
        related_name="candidate_scores",
        verbose_name=_("decision"),
    )
    rank = models.PositiveSmallIntegerField(_("rank"), help_text=_("1 is the nearest."))
    employee = models.ForeignKey(
        "accesscontrol.Employee",
        models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("employee"),
    )
    score = models.FloatField(_("score"), help_text=_("Cosine of the best template."))

    class Meta:
        verbose_name = _("candidate")
        verbose_name_plural = _("candidates")
        ordering = ["decision", "rank"]
        constraints = [
            models.UniqueConstraint(fields=["decision", "rank"], name="one_candidate_a_rank"),
            models.UniqueConstraint(fields=["decision", "employee"], name="candidate_once"),
            models.CheckConstraint(
                condition=Q(rank__range=(1, MOST_CANDIDATES)), name="candidate_rank"
            ),
            models.CheckConstraint(
                # NaN sorts above every number in PostgreSQL: the upper bound keeps it out.
                condition=Q(score__gte=-1.01, score__lte=1.01),
                name="candidate_score",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rank}. {self.employee_id} {self.score:.3f}"
