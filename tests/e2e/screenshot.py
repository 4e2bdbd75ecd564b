"""Takes the picture of the README: `python -m tests.e2e.screenshot`, while `make run` serves."""

from __future__ import annotations

import os
import sys

from playwright.sync_api import expect, sync_playwright

from fastgraph_site.environment import BASE_DIR
from tests.support import needs
from tests.support.client import Client

PICTURE = BASE_DIR / "docs" / "images" / "run.png"
TEXT = (BASE_DIR / "README.md").read_text()


def main(url: str) -> None:
    """Runs `text_report` on the README itself and saves what its page shows."""
    with Client(url) as client, sync_playwright() as playwright:
        run_id = client.create("text_report", {"input": TEXT}, name="A report on the README")["id"]
        client.wait(run_id)
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=needs.chromium(), args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}/runs/{run_id}")
        expect(page.get_by_test_id("node-report")).to_have_attribute("data-state", "done")
        page.screenshot(path=PICTURE, animations="disabled")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
