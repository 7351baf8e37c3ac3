"""A threshold's cost, put into words for a reader without a degree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accesscontrol import budgets, matching
from accesscontrol.budgets import Budget, Cost, Ground, Share
from accesscontrol.score_tail import FEWEST_PEOPLE
from accesscontrol.surveys import State


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what, and for each threshold a figure with a remark."""

    name: str
    cells: Sequence[tuple[str, str]]


def survey_words(state: State) -> str:
    """How far the gallery's own scores can be relied on at this moment."""
    survey = state.survey
    if survey is None or survey.finished_at is None:
        text = _("The gallery has not been surveyed yet: what is shown is the model's calibration.")
    else:
        text = _("Gallery of %(people)d people, %(templates)d templates, surveyed %(at)s UTC.") % {
            "people": survey.people,
            "templates": survey.templates,
            "at": f"{survey.finished_at:%Y-%m-%d %H:%M}",
        }
        if survey.people < FEWEST_PEOPLE:
            text += " " + _("That is too few to compare: the model's calibration decides.")
        if state.stale:
            text += " " + _("It has changed since: figures are of the earlier gallery.")
    if state.running:
        return text + " " + _("A survey is running.")
    return text + (" " + _("Workers survey it within five minutes.") if state.stale else "")


def budget_words(budget: Budget, known: Ground) -> str:
    """What the budget is spread over, and where the figure comes from."""
    counted = budgets.traffic(known.site)
    if counted.enough:
        source = _(
            "%(decisions)s decisions in the last %(days)d days make %(year)s walk-ups a year; "
            "%(refused).1f %% of them were refused for their likeness: strangers who were seen "
            "well are among these."
        ) % {
            "decisions": f"{counted.decisions:,}",
            "days": round(counted.days),
            "year": f"{counted.a_year:,}",
            "refused": 100 * counted.refused / counted.decisions,
        }
    else:
        source = _(
            "There are too few decisions to count from. %(people)d people who each walk up "
            "%(times)d times on %(days)d days make %(year)s walk-ups a year; say how many it is."
        ) % {
            "people": max(known.people, 1),
            "times": budgets.WALK_UPS_A_DAY,
            "days": budgets.WORKING_DAYS,
            "year": f"{budgets.walk_ups_a_year(known.site, known.people):,}",
        }
    return source


def cost_rows(costs: Sequence[Cost], known: Ground) -> list[Row]:
    """The table of what each threshold costs, columns as in `costs`."""
    return [
        Row(
            _("Wrong acceptances a year, at most (95 % confidence)"),
            [(_amount(cost.wrong_a_year_at_most), "") for cost in costs],
        ),
        Row(
            _("Wrong acceptances a year, estimate"),
            [(_amount(cost.wrong_a_year), "") for cost in costs],
        ),
        Row(
            _("A stranger is taken for somebody, at most"),
            [(odds(cost.fpir_at_most), "") for cost in costs],
        ),
        Row(
            _("Templates that others of the same person would not reach"),
            [_share(cost.own_templates, _templates_unknown(known)) for cost in costs],
        ),
        Row(
            _("Acceptances of the last 30 days that would be refused"),
            [_share(cost.accepted, _("unknown: there are none")) for cost in costs],
        ),
    ]


def odds(rate: float) -> str:
    """0.001 is "1 in 1,000", in two significant digits."""
    return matching.odds(rate) if rate > 0 else _("never")


def _templates_unknown(known: Ground) -> str:
    if known.measured is None:
        return _("unknown until the gallery is surveyed")
    return _("unknown: nobody has two photos")


def _amount(value: float | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _share(share: Share, unknown: str) -> tuple[str, str]:
    if share.value is None:
        return unknown, ""
    low, high = share.interval
    return (
        f"{100 * share.value:.1f} %",
        _("%(hits)d of %(trials)d; %(low).1f to %(high).1f %%")
        % {
            "hits": share.hits,
            "trials": share.trials,
            "low": 100 * low,
            "high": 100 * high,
        },
    )
