import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accesscontrol", "0005_gallery"),
    ]

    operations = [
        migrations.CreateModel(
            name="GallerySurvey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "stamp",
                    models.CharField(
                        blank=True,
                        help_text="Of the gallery that was measured last.",
                        max_length=64,
                    ),
                ),
                ("people", models.PositiveIntegerField(default=0, verbose_name="people")),
                ("templates", models.PositiveIntegerField(default=0, verbose_name="templates")),
                ("scores", models.JSONField(default=dict, verbose_name="scores")),
                ("started_at", models.DateTimeField(null=True, verbose_name="started at")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished at")),
            ],
            options={
                "verbose_name": "gallery survey",
                "verbose_name_plural": "gallery surveys",
            },
        ),
        migrations.AddField(
            model_name="threshold",
            name="basis",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="The data it was solved or chosen from.",
                verbose_name="basis",
            ),
        ),
        migrations.AddField(
            model_name="threshold",
            name="budget",
            field=models.FloatField(
                blank=True,
                help_text="Wrong acceptances a year it was solved for; empty if it was chosen by hand.",
                null=True,
                verbose_name="budget",
            ),
        ),
        migrations.AddConstraint(
            model_name="threshold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("budget__isnull", True),
                    models.Q(("budget__gt", 0), ("budget__lte", 1000000.0)),
                    _connector="OR",
                ),
                name="threshold_budget_above_0",
            ),
        ),
        migrations.AddField(
            model_name="gallerysurvey",
            name="model_version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="accesscontrol.modelversion"
            ),
        ),
        migrations.AddField(
            model_name="gallerysurvey",
            name="site",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="surveys",
                to="accesscontrol.site",
            ),
        ),
        migrations.AddConstraint(
            model_name="gallerysurvey",
            constraint=models.UniqueConstraint(
                fields=("site", "model_version"), name="one_survey_a_site_and_model"
            ),
        ),
        migrations.AddConstraint(
            model_name="gallerysurvey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("finished_at__isnull", True),
                    models.Q(("stamp", ""), _negated=True),
                    _connector="OR",
                ),
                name="survey_finished_with_its_gallery",
            ),
        ),
    ]
