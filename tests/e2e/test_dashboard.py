"""One run in the dashboard, from the form to the downloaded file, live and through a restart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support.client import Client
from tests.support.processes import Server

TEXT = "The sea is calm tonight. The tide is full, the moon lies fair upon the straits."


def _start(page: Page, workflow: str, payload: object, name: str) -> str:
    """Starts a run with the dashboard's own form; its id, once its page is shown."""
    page.get_by_role("link", name="New run").click()
    page.get_by_role("radio", name=workflow).check()
    page.get_by_label("Name").fill(name)
    page.get_by_role("tab", name="JSON").click()
    page.get_by_label("Payload as JSON").fill(json.dumps(payload))
    page.get_by_role("button", name="Start run").click()
    page.wait_for_url("**/runs/*")
    return page.url.rpartition("/")[2]


def _status(page: Page) -> Locator:
    return page.get_by_test_id("run-status")


def _expect_pill(page: Page, word: str) -> None:
    # The whole word: "connected" is a part of "disconnected".
    expect(page.get_by_test_id("connection-pill")).to_have_text(word)


def _node(page: Page, name: str, state: str) -> Locator:
    return page.locator(f'[data-testid="node-{name}"][data-state="{state}"]')


def test_a_run_is_started_watched_and_its_report_downloaded(
    page: Page, client: Client, tmp_path: Path
) -> None:
    run_id = _start(page, "text_report", {"input": TEXT}, "Dover")
    expect(_status(page)).to_have_text("Completed")
    for node in ("parse", "count_words", "readability", "key_terms", "report"):
        expect(_node(page, node, "done")).to_be_visible()
    assert client.run(run_id)["payload"] == {"input": TEXT}

    with page.expect_download() as download:
        page.get_by_test_id("artifact-link").filter(has_text="report.md").click()
    download.value.save_as(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_bytes() == client.artifacts(run_id)["report.md"]


def test_nodes_light_up_while_the_run_goes_on(page: Page, client: Client) -> None:
    run_id = _start(page, "steps", {"steps": 3, "seconds": 1}, "Slowly")
    expect(page.locator('[data-testid^="node-"][data-state="running"]').first).to_be_visible()
    assert client.run(run_id)["status"] == "running"
    _expect_pill(page, "connected")
    expect(_status(page)).to_have_text("Completed")
    events = page.get_by_test_id("event-row")
    expect(events).to_have_count(len(client.events(run_id)))


def test_the_list_shows_a_run_of_somebody_else_as_it_goes(page: Page, client: Client) -> None:
    _expect_pill(page, "connected")
    client.create("steps", {"steps": 2, "seconds": 1}, name="From afar")
    row = page.get_by_test_id("run-row").filter(has_text="From afar")
    expect(row).to_contain_text("Running")
    expect(row).to_contain_text("Completed")


def test_the_pill_tells_the_truth_through_a_restart(open_page: Page, own_server: Server) -> None:
    page = open_page
    page.goto(own_server.url)
    run_id = _start(page, "steps", {"steps": 20, "seconds": 1}, "Interrupted by us")
    _expect_pill(page, "connected")
    own_server.stop()
    _expect_pill(page, "disconnected")
    own_server.start()
    _expect_pill(page, "connected")
    expect(_status(page)).to_have_text("Completed", timeout=60_000)
    with Client(own_server.url) as client:
        expect(page.get_by_test_id("event-row")).to_have_count(len(client.events(run_id)))


@pytest.mark.parametrize("part", ["graph-pane", "layout-worker"])
def test_parts_that_are_loaded_later_wait_for_the_server(
    part: str, open_page: Page, own_server: Server
) -> None:
    """A part that cannot be loaded, because the server went away just then, once made the page
    reload itself into the browser's own error page."""
    page = open_page
    page.goto(own_server.url)

    def stop_the_server(route: Route) -> None:
        own_server.stop()
        route.abort("connectionrefused")

    page.route(f"**/{part}-*.js", stop_the_server, times=1)
    _start(page, "steps", {"steps": 500, "seconds": 1}, "Half a page")  # it does not end meanwhile
    _expect_pill(page, "disconnected")
    own_server.start()
    _expect_pill(page, "connected")
    expect(page.locator('.react-flow [data-testid^="node-"]').first).to_be_visible()
