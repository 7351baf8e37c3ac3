from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accesscontrol", "0012_unknown_visitors")]

    operations = [
        migrations.AlterField(
            model_name="lookalike",
            name="confirmed_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="confirmed at"),
        ),
    ]
