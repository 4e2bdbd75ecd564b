"""What is counted and not logged at once is logged soon."""

from __future__ import annotations

from unittest import mock

import pytest

from fastgraph_site.server.admission import Admission
from fastgraph_site.web.overload import Limits


def test_refusals_after_the_first_are_logged_though_none_follows(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(connections=0, header_bytes=1, url_bytes=1, header_seconds=1)
    admission = Admission(limits)
    with mock.patch("time.monotonic") as clock:
        clock.return_value = 100.0
        for _ in range(170):
            admission.admit(mock.Mock(), 1, 100.0)
        admission.tick(100.0)
        assert [r.getMessage().split()[0] for r in caplog.records] == ["1"]
        clock.return_value = 111.0
        admission.tick(111.0)
        admission.tick(111.0)
    assert [r.getMessage().split()[0] for r in caplog.records] == ["1", "169"]
