"""manage.py change_model: another face model, while people walk in and out."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accesscontrol import change_report, embedding_anew, model_change, shadow_decisions
from accesscontrol.model_change import ModelChangeError, State
from accesscontrol.models import ModelChange
from accesscontrol.shadow_decisions import Agreement


class Command(BaseCommand):
    help = (
        "Changes the model that recognises: start, watch the status, switch; then finish, or roll "
        "back. Nobody has to wait or to enrol anew, but those whose photos the new model cannot "
        "use, whom status lists."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
        start = steps.add_parser("start", help="embed every photo under a further model, too")
        start.add_argument("model", metavar="MODEL", help="NAME, or “NAME VERSION”")
        status = steps.add_parser("status", help="how far it is, and what is missing")
        status.add_argument("--json", action="store_true", help="one JSON object on stdout")
        steps.add_parser("left_out", help="who has to be enrolled anew, as CSV")
        switch = steps.add_parser("switch", help="the new model recognises from now on")
        switch.add_argument(
            "--leave-behind",
            action="store_true",
            help="although people who are recognised now would not be any more",
        )
        steps.add_parser("roll_back", help="the old model recognises again")
        steps.add_parser("solve", help="give sites the thresholds that they lack")
        steps.add_parser("try_again", help="embed once more what has failed")
        steps.add_parser("finish", help="after the switch: give up the old model's templates")
        steps.add_parser("cancel", help="before it: give up the new model's templates")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['step']}")(options)
        except ModelChangeError as error:
            raise CommandError(str(error)) from None

    def _start(self, options: dict[str, Any]) -> None:
        change = model_change.start(model_change.find_version(options["model"]), None)
        self.stdout.write(f"{change}: the photos are being embedded. See: change_model status")

    def _status(self, options: dict[str, Any]) -> None:
        change = model_change.current()
        if change is None:
            closed = {"open": False}
            self.stdout.write(json.dumps(closed) if options["json"] else "No change is open.")
            return
        state = model_change.state(change)
        if options["json"]:
            self.stdout.write(json.dumps(change_report.as_json(state), ensure_ascii=False))
            return
        for line in _lines(state):
            self.stdout.write(line)

    def _left_out(self, options: dict[str, Any]) -> None:
        self.stdout.write(change_report.left_out_csv(_open_state().left_out), ending="")

    def _switch(self, options: dict[str, Any]) -> None:
        change = model_change.switch(None, leave_behind=options["leave_behind"])
        self.stdout.write(f"{change.new} recognises from now on. Back: change_model roll_back")

    def _roll_back(self, options: dict[str, Any]) -> None:
        change = model_change.roll_back(None)
        self.stdout.write(f"{change.old} recognises again.")
        unknown = embedding_anew.left_out(change.old)
        if unknown:
            named = ", ".join(str(one.employee) for one in unknown)
            self.stderr.write(f"It has no template of: {named}")

    def _solve(self, options: dict[str, Any]) -> None:
        trouble = model_change.solve_thresholds(None)
        if trouble:
            raise CommandError(" ".join(trouble))
        self.stdout.write("Every site has its threshold under the new model.")

    def _try_again(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{model_change.try_again(None)} photos are embedded once more.")

    def _finish(self, options: dict[str, Any]) -> None:
        change = model_change.finish(None)
        self.stdout.write(f"Finished. The templates of {change.old} are being deleted.")

    def _cancel(self, options: dict[str, Any]) -> None:
        change = model_change.cancel(None)
        self.stdout.write(f"Cancelled. The templates of {change.new} are being deleted.")


def _open_state() -> State:
    change: ModelChange | None = model_change.current()
    if change is None:
        raise ModelChangeError("No model change is open.")
    return model_change.state(change)


def _lines(state: State) -> list[str]:
    change, photos = state.change, state.beside
    shadow = shadow_decisions.summary(change)
    embedded = f"{photos.done} of {photos.photos} ({photos.percent} %)"
    lines = [
        f"{change}: {change.get_stage_display()}",
        f"Photos embedded under {change.beside}: {embedded}, impossible: {photos.failed}",
    ]
    if photos.minutes_left:
        lines.append(f"About {photos.minutes_left} minutes left")
    if shadow.compared:
        lines.append(
            f"Tried on {shadow.compared} walk-ups: {shadow.agreeing} agree; of "
            f"{shadow.accepted} accepted it would refuse {shadow.counts[Agreement.ONLY_OLD]}"
        )
    if state.lost:
        lines.append(f"{len(state.lost)} recognised people have no template under it: left_out")
    lines += [f"Missing: {blocker}" for blocker in state.blockers]
    if change.stage == ModelChange.Stage.PREPARING and state.ready:
        lines.append("Ready: change_model switch")
    return lines
