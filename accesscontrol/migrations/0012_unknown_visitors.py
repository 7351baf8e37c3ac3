"""Unknown visitors: visits hang on a site's choice, and go with it."""

from datetime import timedelta

import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import pgvector.django.halfvec
from django.conf import settings
from django.db import migrations, models

# What the database itself keeps to: nothing without the site's choice, everything gone with it, one
# site and one model version, and only refusals that were nobody's match.
CASCADE = """
ALTER TABLE accesscontrol_visitor
    ADD CONSTRAINT visitor_goes_with_its_policy FOREIGN KEY (policy_id)
    REFERENCES accesscontrol_visitorpolicy (id) ON DELETE CASCADE;
ALTER TABLE accesscontrol_visit
    ADD CONSTRAINT visit_goes_with_its_policy FOREIGN KEY (policy_id)
    REFERENCES accesscontrol_visitorpolicy (id) ON DELETE CASCADE;
ALTER TABLE accesscontrol_visit
    ADD CONSTRAINT visit_goes_with_its_visitor FOREIGN KEY (visitor_id, policy_id, model_version_id)
    REFERENCES accesscontrol_visitor (id, policy_id, model_version_id) ON DELETE CASCADE;
"""
CASCADE_REVERSE = """
ALTER TABLE accesscontrol_visit DROP CONSTRAINT visit_goes_with_its_visitor;
ALTER TABLE accesscontrol_visit DROP CONSTRAINT visit_goes_with_its_policy;
ALTER TABLE accesscontrol_visitor DROP CONSTRAINT visitor_goes_with_its_policy;
"""

VECTOR = """
ALTER TABLE accesscontrol_visit
    ADD CONSTRAINT visit_dimension_of_model_version FOREIGN KEY (model_version_id, dimension)
    REFERENCES accesscontrol_modelversion (id, dimension);
ALTER TABLE accesscontrol_visit
    ADD CONSTRAINT visit_has_its_dimension CHECK (vector_dims(embedding) = dimension);
ALTER TABLE accesscontrol_visit
    ADD CONSTRAINT visit_is_a_unit_vector CHECK (abs(l2_norm(embedding) - 1) < 0.01);
"""
VECTOR_REVERSE = """
ALTER TABLE accesscontrol_visit DROP CONSTRAINT visit_is_a_unit_vector;
ALTER TABLE accesscontrol_visit DROP CONSTRAINT visit_has_its_dimension;
ALTER TABLE accesscontrol_visit DROP CONSTRAINT visit_dimension_of_model_version;
"""

# Decisions are never changed, so what holds of one once holds for good.
DECISION = """
CREATE FUNCTION accesscontrol_visit_of_refusal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM accesscontrol_decision AS decision
    JOIN accesscontrol_visitorpolicy AS policy ON policy.site_id = decision.site_id
    WHERE decision.id = NEW.decision_id AND policy.id = NEW.policy_id
      AND decision.outcome = 'NO_MATCH' AND decision.model_version_id = NEW.model_version_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'visit_of_a_refusal_at_its_site: decision %', NEW.decision_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER of_refusal
    BEFORE INSERT OR UPDATE OF decision_id, policy_id, model_version_id ON accesscontrol_visit
    FOR EACH ROW EXECUTE FUNCTION accesscontrol_visit_of_refusal();
"""
DECISION_REVERSE = """
DROP TRIGGER of_refusal ON accesscontrol_visit;
DROP FUNCTION accesscontrol_visit_of_refusal();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accesscontrol", "0011_strict_policy"),
    ]

    operations = [
        migrations.CreateModel(
            name="VisitorPolicy",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "retention_days",
                    models.PositiveSmallIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(30),
                        ],
                        verbose_name="kept for (days)",
                    ),
                ),
                ("purpose", models.CharField(max_length=500, verbose_name="purpose")),
                (
                    "people",
                    models.PositiveSmallIntegerField(
                        help_text="Among how many people visits are dealt out; empty: found out by itself.",
                        null=True,
                        verbose_name="number of people",
                    ),
                ),
                (
                    "switched_on_at",
                    models.DateTimeField(auto_now_add=True, verbose_name="switched on at"),
                ),
                (
                    "stamp",
                    models.CharField(
                        blank=True,
                        editable=False,
                        help_text="Of the visits grouped last.",
                        max_length=64,
                    ),
                ),
                (
                    "site",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="visitor_policy",
                        to="accesscontrol.site",
                        verbose_name="site",
                    ),
                ),
                (
                    "switched_on_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="switched on by",
                    ),
                ),
            ],
            options={
                "verbose_name": "choice about unknown visitors",
                "verbose_name_plural": "choices about unknown visitors",
            },
        ),
        migrations.CreateModel(
            name="Visitor",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("nearest_score", models.FloatField(null=True, verbose_name="score")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="accesscontrol.modelversion"
                    ),
                ),
                (
                    "nearest",
                    models.ForeignKey(
                        help_text="Whose template came nearest to the middle of the visits.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="accesscontrol.employee",
                        verbose_name="nearest",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="visitors",
                        to="accesscontrol.visitorpolicy",
                    ),
                ),
            ],
            options={
                "verbose_name": "unknown visitor",
                "verbose_name_plural": "unknown visitors",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Visit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("dimension", models.PositiveIntegerField(editable=False)),
                ("rotation_id", models.CharField(editable=False, max_length=16)),
                ("embedding", pgvector.django.halfvec.HalfVectorField(editable=False)),
                (
                    "seen_at",
                    models.DateTimeField(help_text="Server's clock.", verbose_name="seen at"),
                ),
                (
                    "last_seen_at",
                    models.DateTimeField(
                        help_text="Later than that where one stood there for long.",
                        verbose_name="last seen at",
                    ),
                ),
                ("refusals", models.PositiveIntegerField(default=1, verbose_name="refusals")),
                ("expires_at", models.DateTimeField(verbose_name="expires at")),
                (
                    "decision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="visit",
                        to="accesscontrol.decision",
                        verbose_name="decision",
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="accesscontrol.modelversion"
                    ),
                ),
                (
                    "visitor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="visits",
                        to="accesscontrol.visitor",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="visits",
                        to="accesscontrol.visitorpolicy",
                    ),
                ),
            ],
            options={
                "verbose_name": "visit",
                "verbose_name_plural": "visits",
                "ordering": ["seen_at", "id"],
            },
        ),
        migrations.AddConstraint(
            model_name="visitorpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("retention_days__range", (1, 30))),
                name="visitor_policy_retention",
            ),
        ),
        migrations.AddConstraint(
            model_name="visitorpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose", ""), _negated=True),
                name="visitor_policy_has_a_purpose",
            ),
        ),
        migrations.AddConstraint(
            model_name="visitorpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("people__isnull", True), ("people__range", (1, 500)), _connector="OR"
                ),
                name="visitor_policy_people",
            ),
        ),
        migrations.AddConstraint(
            model_name="visitor",
            constraint=models.UniqueConstraint(
                fields=("id", "policy", "model_version"), name="visitor_of_policy_and_model"
            ),
        ),
        migrations.AddConstraint(
            model_name="visitor",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("nearest__isnull", True),
                    models.Q(("nearest_score__gte", -1.01), ("nearest_score__lte", 1.01)),
                    _connector="OR",
                ),
                name="visitor_nearest_with_its_score",
            ),
        ),
        migrations.AddIndex(
            model_name="visit",
            index=models.Index(fields=["policy", "last_seen_at"], name="visit_by_policy_and_time"),
        ),
        migrations.AddIndex(
            model_name="visit",
            index=models.Index(fields=["expires_at"], name="visit_expiry"),
        ),
        migrations.AddConstraint(
            model_name="visit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_at__gt", models.F("seen_at")),
                    ("last_seen_at__gte", models.F("seen_at")),
                ),
                name="visit_times_in_order",
            ),
        ),
        migrations.AddConstraint(
            model_name="visit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "expires_at__lte",
                        django.db.models.expressions.CombinedExpression(
                            models.F("seen_at"), "+", models.Value(timedelta(days=30))
                        ),
                    )
                ),
                name="visit_expires_in_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="visit",
            constraint=models.CheckConstraint(
                condition=models.Q(("refusals__gte", 1)), name="visit_of_a_refusal"
            ),
        ),
        migrations.RunSQL(CASCADE, CASCADE_REVERSE),
        migrations.RunSQL(VECTOR, VECTOR_REVERSE),
        migrations.RunSQL(DECISION, DECISION_REVERSE),
    ]
