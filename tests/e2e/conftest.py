"""A real Chromium on the dashboard of a real server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.processes import Server

FLAGS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20_000  # milliseconds that a page may take to show what it should


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for the tests of a module; each opens pages of its own. No longer than that:
    while it lives this thread has a running event loop, and no async test could run on it."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Page]:
    """An empty page that keeps nothing from the test before. It fails the test that used it if
    the page's own scripts failed."""
    expect.set_options(timeout=PATIENCE)
    # Tall: the list of events renders only the rows that are in sight, and tests count them.
    context = browser.new_context(viewport={"width": 1440, "height": 2000})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert not failures, "scripts of the page failed"


@pytest.fixture
def page(open_page: Page, server: Server) -> Page:
    """The dashboard of the module's server."""
    open_page.goto(server.url)
    return open_page
