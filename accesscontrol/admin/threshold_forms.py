"""The forms of a site's threshold page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminTextInputWidget,
)

from accesscontrol import thresholds
from accesscontrol.budgets import Budget
from accesscontrol.models import Site

if TYPE_CHECKING:
    ModelFormOfSite = forms.ModelForm[Site]
else:
    ModelFormOfSite = forms.ModelForm


def _number(step: str, **named: Any) -> forms.FloatField:
    return forms.FloatField(widget=UnfoldAdminDecimalFieldWidget(attrs={"step": step}), **named)


class _Margin(forms.Form):
    margin = _number(
        "any",
        label=_("Margin"),
        help_text=_("How far the best person must lie above the second best."),
    )


class BudgetForm(_Margin):
    """What a wrong acceptance may cost; the names are those of the address."""

    wrong_a_year = _number(
        "any",
        label=_("Wrong acceptances a year, at most"),
        min_value=1e-6,
        max_value=1e6,
        help_text=_("0.1 is one in ten years."),
    )
    walk_ups = forms.IntegerField(
        label=_("Walk-ups a year"),
        min_value=1,
        max_value=1_000_000_000,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    strangers = _number(
        "any",
        label=_("Of 100 walk-ups, by people who are not enrolled"),
        min_value=1e-6,
        max_value=100,
        help_text=_("100 is the safe answer where you do not know."),
    )
    field_order = ("wrong_a_year", "walk_ups", "strangers", "margin")

    @property
    def budget(self) -> Budget:
        return Budget(
            self.cleaned_data["wrong_a_year"],
            self.cleaned_data["walk_ups"],
            self.cleaned_data["strangers"],
        )


class OwnForm(_Margin):
    """A threshold chosen by hand."""

    threshold = _number(
        "any",
        label=_("Threshold"),
        help_text=_("How alike two faces must be, between 0 and 1. Higher is stricter."),
    )
    field_order = ("threshold", "margin")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                thresholds.check(cleaned["threshold"], cleaned["margin"])
            except thresholds.ThresholdError as error:
                self.add_error("threshold", str(error))
        return cleaned


class ReasonForm(forms.Form):
    """Puts what the page shows into force; `shown` is the threshold that it showed."""

    reason = forms.CharField(
        label=_("Reason"), max_length=200, widget=UnfoldAdminTextInputWidget(), strip=True
    )
    shown = forms.FloatField(widget=forms.HiddenInput)


class PadForm(ModelFormOfSite):
    """What the site does about pictures of faces."""

    class Meta:
        model = Site
        fields = ("pad_policy",)
        widgets = {"pad_policy": UnfoldAdminRadioSelectWidget}
