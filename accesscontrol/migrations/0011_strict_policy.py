# What a strict site asks of whoever it would accept.

from django.db import migrations, models

# A policy that asks for a challenge accepts nobody who has not fulfilled it, whatever the code does.
CHALLENGE = """
ALTER TABLE accesscontrol_decision
    ADD CONSTRAINT decision_accepted_after_its_challenge CHECK (
        outcome <> 'ACCEPTED'
        OR coalesce(evidence #> '{policy,challenge}', 'null') = 'null'
        OR coalesce(evidence #> '{challenge,fulfilled}' = 'true', false)
    );
"""
CHALLENGE_REVERSE = """
ALTER TABLE accesscontrol_decision DROP CONSTRAINT decision_accepted_after_its_challenge;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accesscontrol", "0010_pin_and_badge"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="site", name="site_pad_policy"),
        migrations.AlterField(
            model_name="site",
            name="pad_policy",
            field=models.CharField(
                choices=[
                    ("off", "off: a photo of an employee is accepted"),
                    ("passive", "passive: what does not look alive is refused"),
                    ("strict", "strict: passive, and who would be accepted must move their head"),
                ],
                default="off",
                help_text="Whether pictures of faces, on paper or a screen, are told from faces. It needs the model that fetch-models --with minifasnet installs; without it a site that asks for it accepts nobody.",
                max_length=10,
                verbose_name="presentation attack detection",
            ),
        ),
        migrations.AddConstraint(
            model_name="site",
            constraint=models.CheckConstraint(
                condition=models.Q(("pad_policy__in", ["off", "passive", "strict"])),
                name="site_pad_policy",
            ),
        ),
        migrations.AlterField(
            model_name="decision",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("ACCEPTED", "accepted"),
                    ("NO_MATCH", "not recognised"),
                    ("AMBIGUOUS", "two people look alike"),
                    ("PAD_FAILED", "attack suspected"),
                    ("CHALLENGE", "did not do what was asked"),
                    ("LOW_QUALITY", "picture not good enough"),
                    ("TOO_FAR", "too far away"),
                    ("NOT_ALLOWED", "not allowed here or now"),
                    ("AT_OTHER_KIOSK", "stands before another kiosk"),
                    ("EMPTY_GALLERY", "nobody is enrolled at this site"),
                    ("NOT_CALIBRATED", "no threshold is set for the model in use"),
                    ("SIGN_IN_FAILED", "wrong number, PIN or badge"),
                    ("EXPIRED", "the picture came too late"),
                    ("ERROR", "error"),
                ],
                max_length=15,
                verbose_name="outcome",
            ),
        ),
        migrations.RunSQL(CHALLENGE, CHALLENGE_REVERSE),
    ]
