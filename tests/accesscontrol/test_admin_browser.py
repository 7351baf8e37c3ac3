"""The admin in a real Chromium against the real server: it works, and its policy is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.contrib.auth.models import Group
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect, sync_playwright

from accesscontrol import enrolment, shadow_decisions
from accesscontrol.decisions import Candidate
from accesscontrol.groups import ensure_groups
from accesscontrol.models import Employee, Kiosk, ModelChange, Punch, Refusal, Threshold
from accesscontrol.shadow_decisions import Shadow
from recognition.survey import survey_site
from tests.factories import (
    DecisionFactory,
    EmployeeFactory,
    KioskFactory,
    ModelVersionFactory,
    PhotoFactory,
    PunchFactory,
    SiteFactory,
    ThresholdFactory,
    UserFactory,
    jpeg_bytes,
)
from tests.galleries import CALIBRATION, fill_gallery
from tests.kiosk.browser import chromium
from tests.kiosk.server import WebServer
from tests.model_changes import embed_all, enrolled, two_models
from tests.refusals import came, switched_on, visitor_of

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "correct horse battery staple"
expect.set_options(timeout=20_000)  # a busy machine hashes the password for seconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture
def web(transactional_db: None, valkey: redis.Redis) -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.kill()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complained of: broken policy, scripts, missing files."""
    return []


@pytest.fixture
def page(browser: Browser, web: WebServer, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(base_url=web.url)
    page = context.new_page()
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{page.url} {message.text}")
            if message.type in {"error", "warning"}
            else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(f"{page.url} {error}"))
    yield page
    context.close()


def log_in(page: Page, username: str) -> None:
    page.goto(reverse("admin:login"))
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_url(reverse("admin:index"))


def every_page() -> list[str]:
    """The address of each kind of page, with something on it."""
    punch = PunchFactory.create(employee__name="</script><script>alert(1)</script>")
    photo = PhotoFactory.create(employee=punch.employee, file_name="<b onclick=alert(1)>")
    frames = {"trail": [[0, 0.4, 80.0, 0.1], [120, 0.6, 85.0, 0.2]]}
    decision = DecisionFactory.create(site=punch.site, evidence=frames)
    switched_on(punch.site)
    came(punch.site, 1, 3)
    visitor = visitor_of(punch.site, nearest=punch.employee, nearest_score=0.6)
    rows = {
        "site": punch.site_id,
        "employee": punch.employee_id,
        "kiosk": punch.kiosk_id,
        "decision": decision.pk,
        "punch": punch.pk,
        "threshold": decision.threshold_row_id,
        "modelversion": decision.model_version_id,
    }
    addresses = [reverse("admin:index"), reverse("admin:accesscontrol_punch_export")]
    for noun, pk in rows.items():
        addresses.append(reverse(f"admin:accesscontrol_{noun}_changelist"))
        addresses.append(reverse(f"admin:accesscontrol_{noun}_change", args=[pk]))
    more = ("site_add", "employee_add", "kiosk_add", "user_add", "user_changelist")
    one = [photo.employee_id, photo.pk]
    return [
        *addresses,
        *(reverse(f"admin:accesscontrol_{name}") for name in (*more, "auditentry_changelist")),
        reverse("admin:auth_group_changelist"),
        reverse("admin:password_change"),
        reverse("admin:accesscontrol_employee_withdraw", args=[punch.employee_id]),
        reverse("admin:accesscontrol_employee_photo_delete", args=one),
        reverse("admin:accesscontrol_kiosk_pair", args=[punch.kiosk_id]),
        reverse("admin:accesscontrol_kiosk_revoke", args=[punch.kiosk_id]),
        reverse("admin:accesscontrol_site_threshold", args=[punch.site_id]),
        reverse("admin:accesscontrol_site_threshold", args=[punch.site_id])
        + "?threshold=0.9&margin=0.05",
        reverse("admin:accesscontrol_decision_change", args=[punch.decision_id]),
        reverse("admin:accesscontrol_decision_not_me", args=[punch.decision_id]),
        reverse("admin:accesscontrol_decision_was", args=[decision.pk]) + "?q=script",
        reverse("admin:accesscontrol_employee_health"),
        reverse("admin:accesscontrol_modelversion_model_change"),
        reverse("admin:accesscontrol_visitor_changelist"),
        reverse("admin:accesscontrol_visitor_on", args=[punch.site_id]),
        reverse("admin:accesscontrol_visitor_off", args=[punch.site_id]),
        reverse("admin:accesscontrol_visitor_dismiss", args=[visitor.pk]),
        reverse("admin:accesscontrol_visitor_enrol", args=[visitor.pk]),
    ]


def test_no_page_of_the_admin_breaks_the_policy_or_a_script(
    page: Page, complaints: list[str]
) -> None:
    UserFactory.create(username="it", superuser=True)
    page.on("dialog", lambda dialog: complaints.append(f"a script ran: {dialog.message}"))
    log_in(page, "it")
    for address in every_page():
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, address
        page.wait_for_load_state("networkidle")
    assert complaints == []


def test_hr_enrols_a_person_and_sees_what_becomes_of_each_photo(
    page: Page, complaints: list[str], tmp_path: Path
) -> None:
    ensure_groups()
    SiteFactory.create(name="Berlin")
    UserFactory.create(username="hr", staff=True).groups.add(Group.objects.get(name="HR"))
    for name, colour in (("wall.jpg", "grey"), ("sky.jpg", "blue")):
        (tmp_path / name).write_bytes(jpeg_bytes(colour=colour))
    (tmp_path / "letter.jpg").write_text("Dear Sir")

    log_in(page, "hr")
    page.goto(reverse("admin:accesscontrol_employee_add"))
    page.select_option("select[name=site]", label="Berlin")
    page.fill("input[name=number]", "7")
    page.fill("input[name=name]", "Asha Rao")
    page.click("button[name=_save]")
    page.fill("input[name=text_version]", "2026-01 signed")
    page.click("text=Record consent")
    files = [tmp_path / name for name in ("wall.jpg", "letter.jpg", "sky.jpg")]
    page.set_input_files("input[name=photos]", files)
    page.click("button:has-text('Upload photos')")

    expect(page.get_by_text("letter.jpg:")).to_be_visible()
    expect(page.locator("[data-status=PENDING]")).to_have_count(2)
    # A thumbnail asked for after its photo was refused would be missing, rightly.
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    page.evaluate("window.notReloaded = true")
    photo = enrolment.claim_photo()
    assert photo is not None
    enrolment.refuse_photo(photo, Refusal.NO_FACE)

    expect(page.get_by_text("No face found")).to_be_visible()
    expect(page.locator("[data-status=PENDING]")).to_have_count(1)
    assert page.evaluate("window.notReloaded") is True
    assert Employee.objects.get(number="7").photos.count() == 2
    assert complaints == []


def test_hr_filters_the_log_and_downloads_it(page: Page, complaints: list[str]) -> None:
    site = SiteFactory.create(name="Berlin", slug="berlin")
    PunchFactory.create(employee=EmployeeFactory.create(site=site, name="Jörg"))
    PunchFactory.create(employee__name="Elsewhere")
    UserFactory.create(username="it", superuser=True)
    log_in(page, "it")
    page.goto(reverse("admin:accesscontrol_punch_changelist"))
    page.click("a:has-text('Filters')")
    page.select_option("#filter-form select[name=site__id__exact]", label="Berlin", force=True)
    page.click("text=Apply Filters")
    expect(page.locator("#result_list")).to_contain_text("Jörg")
    expect(page.locator("#result_list")).not_to_contain_text("Elsewhere")

    page.click("text=Export CSV")
    with page.expect_download() as download:
        page.click("button:has-text('Export')")
    assert download.value.suggested_filename.startswith("attendance_berlin_")
    content = Path(download.value.path()).read_text("utf-8-sig")
    assert "Jörg" in content
    assert "Elsewhere" not in content
    assert complaints == []


def test_it_makes_a_pairing_code(page: Page, complaints: list[str]) -> None:
    kiosk: Kiosk = KioskFactory.create()
    UserFactory.create(username="it", superuser=True)
    log_in(page, "it")
    page.goto(reverse("admin:accesscontrol_kiosk_change", args=[kiosk.pk]))
    page.click("text=New pairing code")
    page.click("button:has-text('Make code')")
    expect(page.locator("#pairing-code")).to_contain_text("-")
    expect(page.locator("svg.segno")).to_be_visible()
    assert complaints == []


def test_a_site_manager_solves_a_budget_sees_the_replay_and_puts_it_into_force(
    page: Page, complaints: list[str]
) -> None:
    ensure_groups()
    version = ModelVersionFactory.create(calibration=CALIBRATION)
    site = SiteFactory.create(name="Berlin")
    ThresholdFactory.create(site=site, model_version=version, value=0.5)
    fill_gallery(site, version, 10, photos=2)
    survey_site(site, version)
    accepted = DecisionFactory.create(site=site, accepted=True, score=0.51, employee__name="Asha")
    manager = UserFactory.create(username="rosa", staff=True)
    manager.groups.set(Group.objects.filter(name="Site manager"))
    log_in(page, "rosa")
    page.goto(reverse("admin:accesscontrol_site_change", args=[site.pk]))
    page.click("text=Threshold and budget")
    expect(page.locator("svg.gh-plot")).to_be_visible()
    page.fill("input[name=wrong_a_year]", "0.5")
    page.fill("input[name=walk_ups]", "40000")
    page.click("text=Solve and show")
    expect(page.locator("h2", has_text="Proposed:")).to_be_visible()
    expect(page.locator("h3", has_text="Accepted, would be refused")).to_be_visible()
    link = reverse("admin:accesscontrol_decision_change", args=[accepted.pk])
    expect(page.locator(f"a[href='{link}']")).to_be_visible()
    page.fill("input[name=reason]", "Agreed with the works council")
    page.click("button:has-text('Put into force')")
    expect(page.locator("text=is in force")).to_be_visible()
    row = Threshold.objects.filter(site=site).first()
    assert row is not None
    assert (row.budget, row.set_by) == (0.5, manager)
    assert complaints == []


def test_it_changes_the_model_and_watches_the_photos_being_embedded(
    page: Page, complaints: list[str]
) -> None:
    _, new = two_models()
    lost, *people = enrolled(4)
    UserFactory.create(username="it", superuser=True)
    log_in(page, "it")
    page.click("text=Change of model")
    page.click("text=Change to it…")
    page.click("button:has-text('Start')")
    bar = page.locator("progress")
    expect(bar).to_have_attribute("value", "0")
    page.evaluate("window.notReloaded = true")
    embed_all(new, failing=lost.photos.values_list("pk", flat=True))
    expect(bar).to_have_attribute("value", "100")
    expect(page.get_by_text("Recognised now.", exact=True)).to_be_visible()
    assert page.evaluate("window.notReloaded") is True
    change = ModelChange.objects.get()
    for employee, score in ((people[0], 0.8), (people[1], 0.55)):
        row = ThresholdFactory.create(site=employee.site, model_version=new, value=0.6)
        decision = DecisionFactory.create(accepted=True, employee=employee, site=employee.site)
        shadow = Shadow([Candidate(employee.pk, score)], decision.frames, 14.0)
        shadow_decisions.record(change, decision, row, shadow)
    page.reload()
    expect(page.locator("svg.gh-agreement circle")).to_have_count(2)
    page.click("text=Switch…")
    expect(page.locator("text=would not be any more: 1")).to_be_visible()
    page.click("button:has-text('Switch')")
    expect(page.locator("text=The new model recognises from now on.")).to_be_visible()
    page.click("text=Roll back…")
    page.click("button:has-text('Roll back')")
    expect(page.locator("text=The old model recognises again.")).to_be_visible()
    assert complaints == []


def test_hr_is_asked_why_looks_and_corrects(page: Page, complaints: list[str]) -> None:
    ensure_groups()
    site = SiteFactory.create(name="Berlin")
    asha = EmployeeFactory.create(site=site, name="Asha Rao", consented=True)
    EmployeeFactory.create(site=site, name="Björn Öztürk", number="77")
    frames = {"trail": [[120 * n, 0.3 + 0.1 * n, 80.0, 0.2] for n in range(4)]}
    decision = DecisionFactory.create(site=site, nearest=asha, score=0.58, evidence=frames)
    UserFactory.create(username="hr", staff=True).groups.add(Group.objects.get(name="HR"))

    log_in(page, "hr")
    page.click("text=Decisions")
    page.click("#result_list tbody a")
    expect(page.locator(".gh-answer")).to_contain_text("The nearest enrolled person, Asha Rao")
    expect(page.get_by_role("img", name="Quality and attack score")).to_be_visible()
    page.click("text=The same as a table")
    expect(page.get_by_role("cell", name="360 ms")).to_be_visible()

    page.click("text=Say who it was…")
    page.fill("input[name=q]", "öztürk")
    page.click("button:has-text('Search')")
    page.click("label:has-text('Björn Öztürk (77)')")
    page.fill("input[name=reason]", "His badge was read at that minute")
    page.click("button:has-text('It was this person')")
    expect(page.get_by_text("The correction is recorded.")).to_be_visible()
    expect(page.locator(".gh-explained")).to_contain_text("It was Björn Öztürk")

    page.click("text=Attendance log")
    expect(page.locator("#result_list")).to_contain_text("by correction")
    page.click("text=Gallery health")
    expect(page.get_by_role("heading", name="Gallery health")).to_be_visible()
    assert Punch.objects.get().decision == decision
    assert complaints == []
