"""The kiosk page in a real Chromium, with a fake camera."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
FAKE_CAMERA = ["--use-fake-device-for-media-stream"]
ALLOWED = ["--use-fake-ui-for-media-stream"]
DENIED = ["--deny-permission-prompts"]

TABLET = {"width": 768, "height": 1024}


@contextmanager
def chromium(playwright: Playwright, *extra: str) -> Iterator[Browser]:
    """The system's Chromium, or Playwright's own. Fails if there is neither."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    browser = playwright.chromium.launch(executable_path=found, args=[*ARGUMENTS, *extra])
    try:
        yield browser
    finally:
        browser.close()


def new_context(browser: Browser) -> BrowserContext:
    """A tablet's browser with empty storage."""
    return browser.new_context(viewport=TABLET)  # type: ignore[arg-type]
