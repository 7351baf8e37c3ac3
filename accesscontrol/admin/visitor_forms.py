"""The forms of the page of unknown visitors."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from accesscontrol.models.visitor import LONGEST_RETENTION_DAYS, MOST_PEOPLE, PURPOSE_MAX
from accesscontrol.visitors import SHORTEST_PURPOSE, USUAL_RETENTION_DAYS


class SwitchOnForm(forms.Form):
    """A site's choice: for how long, what for, and that it may be done."""

    retention_days = forms.IntegerField(
        label=_("Keep each visit for (days)"),
        min_value=1,
        max_value=LONGEST_RETENTION_DAYS,
        initial=USUAL_RETENTION_DAYS,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("1 to %(most)d. As short as the purpose allows.")
        % {"most": LONGEST_RETENTION_DAYS},
    )
    purpose = forms.CharField(
        label=_("What is it for?"),
        min_length=SHORTEST_PURPOSE,
        max_length=PURPOSE_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("In a sentence. It is kept in the audit log with your name."),
    )
    confirmed = forms.BooleanField(
        label=_(
            "I confirm that there is a legal ground for this, that whoever answers for data "
            "protection has agreed, and that a notice at each door tells people of it."
        ),
        widget=UnfoldBooleanSwitchWidget,
    )


class PeopleForm(forms.Form):
    """How many people they are, where somebody knows."""

    people = forms.IntegerField(
        label=_("I know how many people they are"),
        required=False,
        min_value=1,
        max_value=MOST_PEOPLE,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_(
            "Every visit is then put to one of so many people. Empty: found out by itself."
        ),
    )
