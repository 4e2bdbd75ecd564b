"""What the dashboard shows is true, as soon as it is: status, lists, nodes; at any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.cases import GATES, LONG, RTL
from tests.support.client import Client
from tests.support.processes import Server, serving, wait_until

Open = Callable[[str], None]
#: Milliseconds within which a page shows an event: well below the 30 s after which it reads the
#: run again by itself.
AT_ONCE = 15_000


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def server(gates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the workflows of `tests.e2e.cases`."""
    env = {"FASTGRAPH_APPS": "tests.e2e.cases", GATES: str(gates)}
    with serving(tmp_path_factory.mktemp("server"), env=env) as server:
        yield server


@pytest.fixture
def open_gate(gates: Path) -> Open:
    return lambda name: (gates / name).touch()


def _show(page: Page, server: Server, path: str) -> None:
    page.goto(f"{server.url}{path}")
    expect(page.get_by_test_id("connection-pill")).to_have_text("connected")


def _show_run(page: Page, server: Server, run_id: str) -> None:
    page.goto(f"{server.url}/runs/{run_id}")
    expect(_status(page)).to_be_visible()


def _show_run_by_events_alone(page: Page, server: Server, run_id: str) -> None:
    """Opens the page of the run. Once it is shown, the run is not read again and the feed is
    silent: only the run's events can change what the page shows."""
    page.route_web_socket("**/api/ws/?thread=*", lambda socket: None)
    _show_run(page, server, run_id)
    expect(page.get_by_test_id("connection-pill")).to_have_text("connected")
    page.route(f"**/api/runs/{run_id}", lambda route: route.abort())


def _status(page: Page) -> Locator:
    return page.get_by_test_id("run-status")


def _expect_status(page: Page, status: str) -> None:
    expect(_status(page)).to_have_attribute("data-status", status, timeout=AT_ONCE)


def _expect_node(page: Page, name: str, state: str) -> None:
    expect(page.get_by_test_id(f"node-{name}")).to_have_attribute("data-state", state)


def _until(client: Client, run_id: str, status: str) -> None:
    wait_until(f"{run_id} is {status}", lambda: client.run(run_id)["status"] == status, 60)


def _row(page: Page, run_id: str) -> Locator:
    return page.locator(f'[data-testid="run-row"][href*="{run_id}"]')


def test_an_open_page_follows_a_question_and_its_answer(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("asks", {"gate": "question"})["id"]
    _show_run(open_page, server, run_id)
    _expect_status(open_page, "running")
    _expect_node(open_page, "ask", "running")
    open_gate("question")
    _expect_status(open_page, "interrupted")
    _expect_node(open_page, "ask", "parked")
    expect(open_page).to_have_title("Waiting: A test · FastGraph")
    answered = client.http.post(f"/api/runs/{run_id}/resume", json={"resume": "yes"})
    assert answered.is_success, answered.text
    _expect_status(open_page, "completed")


def test_an_open_page_follows_a_sleep_and_a_cancellation(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("sleeps", {"gate": "sleep"})["id"]
    _show_run(open_page, server, run_id)
    _expect_status(open_page, "running")
    open_gate("sleep")
    _expect_status(open_page, "sleeping")
    client.http.post(f"/api/runs/{run_id}/cancel", json={"reason": "enough"})
    _expect_status(open_page, "cancelled")


def test_an_open_page_follows_a_pause_and_says_why(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("steps_twice", {"gate": "pause"})["id"]
    _show_run(open_page, server, run_id)
    _expect_status(open_page, "running")
    modifier = open_page.get_by_test_id("run-modifier")
    client.http.post(f"/api/runs/{run_id}/pause", json={"reason": "lunch"})
    expect(modifier).to_contain_text("lunch")
    open_gate("pause")
    _expect_status(open_page, "pending")
    client.http.post(f"/api/runs/{run_id}/unpause")
    _expect_status(open_page, "completed")
    expect(modifier).to_have_count(0)


def test_open_page_shows_each_status_from_its_event_alone(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("asks_and_sleeps", {"gate": "alone"})["id"]
    _show_run_by_events_alone(open_page, server, run_id)
    _expect_status(open_page, "running")
    open_gate("alone")
    expect(_status(open_page)).to_have_text("Waiting", timeout=AT_ONCE)
    client.http.post(f"/api/runs/{run_id}/resume", json={"resume": "yes"})
    expect(_status(open_page)).to_have_text("Running", timeout=AT_ONCE)
    open_gate("alone asleep")
    expect(_status(open_page)).to_have_text("Sleeping", timeout=AT_ONCE)
    _expect_node(open_page, "nap", "parked")
    client.http.post(f"/api/runs/{run_id}/cancel", json={})
    expect(_status(open_page)).to_have_text("Cancelled", timeout=AT_ONCE)


def test_open_page_shows_a_pause_from_its_event_alone(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("steps_twice", {"gate": "pause alone"})["id"]
    _show_run_by_events_alone(open_page, server, run_id)
    _expect_status(open_page, "running")
    client.http.post(f"/api/runs/{run_id}/pause", json={"reason": "lunch"})
    open_gate("pause alone")
    expect(_status(open_page)).to_have_text("Paused", timeout=AT_ONCE)
    expect(open_page.get_by_test_id("run-modifier")).to_contain_text("lunch")
    expect(open_page).to_have_title("Paused: A test · FastGraph")
    client.http.post(f"/api/runs/{run_id}/unpause")
    expect(_status(open_page)).to_have_text("Completed", timeout=AT_ONCE)


def test_a_list_says_that_a_run_is_paused(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("steps_twice", {"gate": "paused"}, name="To be paused")["id"]
    wait_until("it runs", lambda: client.run(run_id)["status"] == "running")
    _show(open_page, server, "/")
    row = _row(open_page, run_id)
    expect(row).to_contain_text("Running")
    client.http.post(f"/api/runs/{run_id}/pause", json={})
    expect(row.get_by_label("paused")).to_be_visible()
    open_gate("paused")
    expect(row).to_contain_text("Paused")
    client.http.post(f"/api/runs/{run_id}/unpause")
    expect(row).to_contain_text("Completed")


def test_a_question_that_is_too_large_to_be_sent_can_be_loaded(
    open_page: Page, server: Server, client: Client
) -> None:
    run_id = client.create("asks_much", {})["id"]
    _until(client, run_id, "interrupted")
    _show_run(open_page, server, run_id)
    row = open_page.get_by_test_id("event-row").and_(
        open_page.locator('[data-event="interrupted"]')
    )
    expect(row).to_contain_text("Large data")
    row.get_by_role("button").click()
    row.get_by_role("button", name="Load the data").click()
    data = row.get_by_role("figure", name="Data of event")
    data.get_by_role("button", name="0").click()
    data.get_by_role("button", name="value").click()
    expect(data).to_contain_text("Read all of this.")


def test_a_filtered_list_gets_an_older_run_and_loses_it_again(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    old = client.create("asks", {"gate": "old"}, name="The old one")["id"]
    new = client.create("asks", {"gate": ""}, name="The new one")["id"]
    _until(client, new, "interrupted")
    _show(open_page, server, "/?status=interrupted")
    expect(_row(open_page, new)).to_be_visible()
    expect(_row(open_page, old)).to_have_count(0)
    open_gate("old")
    expect(_row(open_page, old)).to_be_visible()
    shown = [_row(open_page, run_id).bounding_box() for run_id in (new, old)]
    assert shown[0] and shown[1] and shown[0]["y"] < shown[1]["y"], "newest first"
    client.http.post(f"/api/runs/{old}/resume", json={"resume": "yes"})
    expect(_row(open_page, old)).to_have_count(0)
    expect(_row(open_page, new)).to_be_visible()


def test_an_inner_node_does_not_light_up_the_outer_one(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("same_names", {"gate": "inner"})["id"]
    _show_run(open_page, server, run_id)
    inner = open_page.get_by_test_id("event-row").filter(has_text="sub \u203a work")
    expect(inner.first).to_be_visible()
    _expect_node(open_page, "sub", "running")
    _expect_node(open_page, "work", "waiting")
    open_gate("inner")
    _expect_status(open_page, "completed")
    _expect_node(open_page, "work", "done")
    open_page.get_by_test_id("node-work").click()
    expect(open_page.get_by_test_id("event-row").first).to_be_visible()
    expect(inner).to_have_count(0)


def test_a_failure_inside_marks_the_node_around_it(
    open_page: Page, server: Server, client: Client
) -> None:
    run_id = client.create("fails_inside", {"gate": ""})["id"]
    client.wait(run_id)
    _show_run(open_page, server, run_id)
    _expect_node(open_page, "sub", "failed")
    _expect_node(open_page, "work", "waiting")


def test_the_graph_fits_its_pane_when_an_error_takes_room_from_it(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    open_page.set_viewport_size({"width": 1440, "height": 600})
    run_id = client.create("fails_inside", {"gate": "fit"})["id"]
    _show_run(open_page, server, run_id)
    last = open_page.get_by_test_id("node-work")
    expect(last).to_be_in_viewport(ratio=0.99)
    open_gate("fit")
    expect(open_page.get_by_role("region", name="Error")).to_contain_text("sub \u203a work")
    expect(last).to_be_in_viewport(ratio=0.99)


def test_a_task_is_not_the_node_of_its_name(
    open_page: Page, server: Server, client: Client, open_gate: Open
) -> None:
    run_id = client.create("calls_a_task", {"gate": "task"})["id"]
    _show_run(open_page, server, run_id)
    call = open_page.get_by_test_id("event-row").filter(has_text="outer \u203a called")
    expect(call.first).to_be_visible()
    _expect_node(open_page, "outer", "running")
    _expect_node(open_page, "called", "waiting")
    open_gate("task")
    _expect_status(open_page, "completed")
    _expect_node(open_page, "called", "done")


def test_parallel_tasks_are_counted(open_page: Page, server: Server, client: Client) -> None:
    run_id = client.create("fans_out", {"gate": ""})["id"]
    client.wait(run_id)
    _show_run(open_page, server, run_id)
    expect(open_page.get_by_test_id("node-work")).to_contain_text("\u00d73")


@pytest.mark.parametrize("count", [40, 72])
def test_a_graph_of_too_many_edges_is_a_list_and_the_page_works(
    open_page: Page, server: Server, client: Client, count: int
) -> None:
    run_id = client.create(f"routers_{count}")["id"]
    client.wait(run_id)
    _show_run(open_page, server, run_id)
    expect(open_page.get_by_test_id("graph-not-drawn")).to_contain_text(f"{count} nodes")
    _expect_node(open_page, "n0", "done")
    open_page.get_by_role("tab", name="State").click()
    expect(open_page.get_by_role("tab", name="State")).to_have_attribute("aria-selected", "true")


def test_a_drawing_is_made_beside_the_page(open_page: Page, server: Server, client: Client) -> None:
    run_id = client.create("exits_60")["id"]
    client.wait(run_id)
    workers: list[str] = []
    open_page.on("worker", lambda worker: workers.append(worker.url))
    _show_run(open_page, server, run_id)
    expect(open_page.locator('.react-flow [data-testid="node-n59"]')).to_be_attached()
    assert any("layout-worker" in url for url in workers), workers


def test_ten_thousand_events_and_a_giant_state_are_shown(
    open_page: Page, server: Server, client: Client
) -> None:
    run_id = client.create("emits", {"count": 10_000})["id"]
    client.wait(run_id, 120)
    last = client.run(run_id)["seq"]
    assert last > 10_000
    _show_run(open_page, server, run_id)
    expect(open_page.get_by_test_id("connection-pill")).to_have_text("ended", timeout=60_000)
    events = open_page.get_by_role("tab", name="Events")
    expect(events).to_contain_text(str(last))
    assert open_page.get_by_test_id("event-row").count() < 300, "only those in sight are rendered"
    open_page.get_by_role("tab", name="State").click()
    expect(open_page.get_by_role("figure", name="State")).to_contain_text("big")


def test_long_names_and_those_from_right_to_left_stay_in_their_place(
    open_page: Page, server: Server, client: Client
) -> None:
    name = f"{RTL} {LONG}"
    run_id = client.create(LONG[:60], name=name)["id"]
    client.wait(run_id)
    for path in ("/", "/new", f"/runs/{run_id}"):
        for width in (1440, 390):
            open_page.set_viewport_size({"width": width, "height": 900})
            open_page.goto(f"{server.url}{path}")
            expect(open_page.get_by_text(LONG[:40]).locator("visible=true").first).to_be_visible()
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert open_page.evaluate(wider) <= 0, f"{path} at {width} px"
