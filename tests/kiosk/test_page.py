"""The kiosk page as a person at the door meets it, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from accesscontrol import kiosks
from accesscontrol.frames import Frame, FrameOutlet
from accesscontrol.models import Kiosk
from kiosk.protocol import Message
from tests.factories import KioskFactory, SiteFactory
from tests.kiosk.browser import ALLOWED, DENIED, FAKE_CAMERA, chromium, new_context
from tests.kiosk.server import StandInWorker, WebServer, decision, faces
from tests.services import until

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Ends with this module: its event loop runs in the main thread, where others have theirs."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright, *FAKE_CAMERA, *ALLOWED) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = new_context(browser)
    yield context.new_page()
    context.close()


@pytest.fixture
def kiosk(outlet: FrameOutlet) -> Kiosk:
    return KioskFactory.create(name="Haupteingang", site=SiteFactory.create(name="Köln"))


def state(page: Page, *states: str) -> None:
    """Wait until the page is in one of these states."""
    expect(page.locator("#kiosk")).to_have_attribute(
        "data-state", re.compile(f"^({'|'.join(states)})$")
    )


def pair(page: Page, web: WebServer, kiosk: Kiosk) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    page.goto(f"{web.url}/kiosk/?code={code}")
    page.get_by_role("button", name="Pair").click()
    state(page, "waiting", "looking", "greeting", "refusal")


def once(make: Callable[[Frame], Message]) -> Callable[[Frame], list[Message]]:
    """Answer the first frame with a message besides its (no) faces."""
    sent: list[int] = []

    def answer(frame: Frame) -> list[Message]:
        messages = [faces(frame, size=(640, 360))]
        if not sent:
            sent.append(frame.sequence)
            messages.append(make(frame))
        return messages

    return answer


def test_a_person_types_the_code_and_the_device_becomes_the_kiosk(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    page.goto(f"{web.url}/kiosk/")
    state(page, "pairing")
    expect(page.get_by_label("Pairing code")).to_be_focused()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#pairing-error")).to_contain_text("wrong, used or older than 15 minutes")
    page.keyboard.type(code.lower())  # the wrong code is selected, so that typing replaces it
    page.keyboard.press("Enter")
    state(page, "waiting", "looking")
    expect(page.locator("#place")).to_have_text("Haupteingang · Köln")
    until(lambda: len(worker.frames) > 2, "frames come")
    assert worker.frames[0].kiosk_id == kiosk.pk
    assert worker.frames[0].image.startswith(b"\xff\xd8\xff")


def test_a_scanned_code_is_filled_in_and_leaves_the_address(
    page: Page, web: WebServer, kiosk: Kiosk
) -> None:
    code = kiosks.new_pairing_code(kiosk, by=None)
    page.goto(f"{web.url}/kiosk/#code={code}")
    expect(page.get_by_label("Pairing code")).to_have_value(code)
    page.get_by_role("button", name="Pair").click()
    state(page, "waiting", "looking")
    assert page.url == f"{web.url}/kiosk/"


def test_a_reload_keeps_the_pairing(page: Page, web: WebServer, kiosk: Kiosk) -> None:
    pair(page, web, kiosk)
    page.reload()
    state(page, "waiting", "looking")
    expect(page.locator("#pairing")).to_be_hidden()


def test_the_private_key_cannot_be_read_by_any_script(
    page: Page, web: WebServer, kiosk: Kiosk
) -> None:
    pair(page, web, kiosk)
    outcome = page.evaluate(
        """async () => {
            const { loadIdentity } = await import("/static/kiosk/keys.js");
            const { privateKey } = await loadIdentity();
            const tries = [];
            for (const format of ["pkcs8", "jwk", "raw"]) {
              tries.push(await crypto.subtle.exportKey(format, privateKey)
                .then(() => "exported", (error) => error.name));
            }
            return { extractable: privateKey.extractable, type: privateKey.type, tries };
        }"""
    )
    assert outcome["extractable"] is False
    assert outcome["type"] == "private"
    assert "exported" not in outcome["tries"]


def test_a_known_person_is_greeted_with_name_direction_and_the_sites_time(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = once(lambda frame: decision(frame, at="2026-03-02T09:02:11+05:30"))
    pair(page, web, kiosk)
    state(page, "greeting")
    expect(page.locator("#greeting")).to_have_text("Asha Rao, IN 09:02", use_inner_text=False)
    expect(page.locator("#greeting")).to_be_visible()
    # It passes by itself.
    expect(page.locator("#greeting")).to_be_hidden()


def test_a_person_seen_again_within_the_cool_down_reads_the_first_time(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = once(lambda frame: decision(frame, repeat=True))
    pair(page, web, kiosk)
    expect(page.locator("#greeting")).to_have_text("Asha Rao, already recorded, IN 09:02")


def test_a_stranger_reads_the_servers_reason(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    nobody = {"outcome": "NO_MATCH", "employee": None, "direction": None, "at": None}
    reason = "Take off the sunglasses, or use your PIN."
    worker.answer = once(lambda frame: decision(frame, **nobody, reason=reason))
    pair(page, web, kiosk)
    state(page, "refusal")
    expect(page.locator("#refusal-reason")).to_have_text(reason)
    expect(page.locator("#refusal")).to_have_attribute("data-outcome", "NO_MATCH")
    expect(page.locator("#greeting")).to_be_hidden()


@pytest.mark.parametrize("outcome", ["TOO_FAR", "EMPTY_GALLERY", "SOMETHING_NEW"])
def test_a_refusal_without_a_reason_still_says_what_to_do(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker, outcome: str
) -> None:
    nobody = {"outcome": outcome, "employee": None, "direction": None, "at": None}
    worker.answer = once(lambda frame: decision(frame, **nobody))
    pair(page, web, kiosk)
    expect(page.locator("#refusal-reason")).to_have_text(re.compile(r"\w+ \w+"))


def test_a_name_is_text_whatever_is_in_it(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    name = "<img src=x onerror=alert(1)>"
    worker.answer = once(lambda frame: decision(frame, employee=name))
    pair(page, web, kiosk)
    expect(page.locator("#greeting-name")).to_have_text(name)


def test_two_people_at_once_are_greeted_one_after_the_other(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    single = once(lambda frame: decision(frame, employee="Asha Rao"))

    def answer(frame: Frame) -> list[Message]:
        messages = single(frame)
        return messages if len(messages) == 1 else [*messages, decision(frame, employee="Jan Weiß")]

    worker.answer = answer
    pair(page, web, kiosk)
    expect(page.locator("#greeting-name")).to_have_text("Asha Rao")
    expect(page.locator("#greeting-name")).to_have_text("Jan Weiß")


def test_the_box_lies_over_the_face_in_the_mirrored_picture(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    box = [100.0, 90.0, 200.0, 210.0]
    worker.answer = lambda frame: [faces(frame, (box, "looking"), size=(640, 360))]
    pair(page, web, kiosk)
    state(page, "looking")
    face = page.locator("#faces .face")
    expect(face).to_have_count(1)
    expect(face).to_have_attribute("data-state", "looking")
    page.wait_for_function("document.querySelector('.face').getAnimations().length === 0")
    found = face.bounding_box()
    assert found is not None
    # The frame covers the screen: scaled by 1024/360, cut off left and right, then mirrored.
    scale = 1024 / 360
    cut = (640 * scale - 768) / 2
    assert found["x"] == pytest.approx(768 - (box[2] * scale - cut), abs=1.5)
    assert found["y"] == pytest.approx(box[1] * scale, abs=1.5)
    assert found["width"] == pytest.approx(100 * scale, abs=1.5)
    assert found["height"] == pytest.approx(120 * scale, abs=1.5)
    worker.answer = lambda frame: [faces(frame, size=(640, 360))]
    expect(face).to_have_count(0)


def test_at_most_two_frames_wait_for_an_answer(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    worker.answer = lambda frame: []
    pair(page, web, kiosk)
    until(lambda: len(worker.frames) >= 6, "six frames have come")
    times = [frame.received_ms for frame in worker.frames]
    # Two, then a pause of a second until they count as lost, then two more, and so on.
    assert times[-1] - times[0] > 1500


def test_a_camera_that_is_not_allowed_is_explained(
    playwright: Playwright, web: WebServer, kiosk: Kiosk
) -> None:
    with chromium(playwright, *FAKE_CAMERA, *DENIED) as browser:
        page = new_context(browser).new_page()
        pair_until(page, web, kiosk, "permission-denied")
        expect(page.get_by_role("heading", name="The camera is blocked")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_device_without_a_camera_is_told_so(
    playwright: Playwright, web: WebServer, kiosk: Kiosk
) -> None:
    with chromium(playwright, *ALLOWED) as browser:
        page = new_context(browser).new_page()
        pair_until(page, web, kiosk, "no-camera")
        expect(page.get_by_role("heading", name="No camera")).to_be_visible()


def test_a_camera_in_use_is_told_so_and_used_when_it_is_free(
    page: Page, web: WebServer, kiosk: Kiosk
) -> None:
    page.add_init_script(
        """const get = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        window.busy = true;
        navigator.mediaDevices.getUserMedia = (wanted) => window.busy
          ? Promise.reject(new DOMException("in use", "NotReadableError")) : get(wanted);"""
    )
    pair_until(page, web, kiosk, "camera-in-use")
    page.evaluate("window.busy = false")
    page.get_by_role("button", name="Try again").click()
    state(page, "waiting", "looking")


def pair_until(page: Page, web: WebServer, kiosk: Kiosk, expected: str) -> None:
    page.goto(f"{web.url}/kiosk/?code={kiosks.new_pairing_code(kiosk, by=None)}")
    page.get_by_role("button", name="Pair").click()
    state(page, expected)


def test_a_page_without_https_says_so(page: Page, web: WebServer) -> None:
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.goto(f"{web.url}/kiosk/")
    state(page, "insecure")
    expect(page.get_by_role("heading", name="This page needs HTTPS")).to_be_visible()


def test_a_server_that_goes_is_missed_and_found_again(
    page: Page, kiosk: Kiosk, worker: StandInWorker
) -> None:
    server = WebServer()
    try:
        pair(page, server, kiosk)
        server.kill()
        state(page, "offline")
        expect(page.locator("#notice-text")).to_contain_text("Reconnecting")
        server.start()
        state(page, "waiting", "looking")
        seen = len(worker.frames)
        until(lambda: len(worker.frames) > seen, "frames come again")
    finally:
        server.kill()


def test_a_revoked_kiosk_asks_for_a_new_code_and_goes_on_with_it(
    page: Page, web: WebServer, kiosk: Kiosk
) -> None:
    pair(page, web, kiosk)
    kiosks.revoke_kiosk(kiosk, by=None)
    state(page, "pairing")
    expect(page.locator("#pairing-note")).to_contain_text("pairing has ended")
    page.get_by_label("Pairing code").fill(kiosks.new_pairing_code(kiosk, by=None))
    page.get_by_role("button", name="Pair").click()
    state(page, "waiting", "looking")


def test_a_second_window_takes_over_and_the_first_can_take_back(
    page: Page, web: WebServer, kiosk: Kiosk
) -> None:
    pair(page, web, kiosk)
    second = page.context.new_page()
    second.goto(f"{web.url}/kiosk/")
    state(second, "waiting", "looking")
    state(page, "elsewhere")
    page.get_by_role("button", name="Use this window").click()
    state(page, "waiting", "looking")
    state(second, "elsewhere")


def test_a_kiosk_before_which_nothing_moves_rests(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    page.add_init_script(
        """navigator.mediaDevices.getUserMedia = async () => {
            const canvas = document.createElement("canvas");
            canvas.width = 320; canvas.height = 240;
            const context = canvas.getContext("2d");
            context.fillRect(0, 0, 320, 240);
            setInterval(() => {
              context.fillStyle = window.moving ? `hsl(${Date.now() / 5 % 360} 90% 50%)` : "black";
              context.fillRect(0, 0, 320, 240);
            }, 40);
            return canvas.captureStream(25);
        };"""
    )
    pair(page, web, kiosk)
    until(lambda: worker.rests == 1, "the kiosk rests")
    seen = len(worker.frames)
    page.wait_for_timeout(700)
    assert len(worker.frames) == seen
    page.evaluate("window.moving = true")
    until(lambda: len(worker.frames) > seen + 3, "frames come again")


def test_the_page_keeps_to_its_content_security_policy(
    page: Page, web: WebServer, kiosk: Kiosk, worker: StandInWorker
) -> None:
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    box = [100.0, 90.0, 200.0, 210.0]
    worker.answer = lambda frame: [faces(frame, (box, "looking"), size=(640, 360))]
    pair(page, web, kiosk)
    expect(page.locator("#faces .face")).to_have_count(1)
    assert problems == []


def test_the_start_screen_leads_to_kiosk_and_administration(page: Page, web: WebServer) -> None:
    page.goto(web.url)
    expect(page.get_by_role("link", name="Administration")).to_have_attribute("href", "/admin/")
    page.get_by_role("link", name="Kiosk Make this").click()
    state(page, "pairing")
