"""The settings of servers that the acceptance tests start: the product's own, with a small ASGI
application in place of the real one, so that these tests look at processes alone."""

from fastgraph_site.settings import *  # noqa: F403

FASTGRAPH = {
    **FASTGRAPH,  # noqa: F405
    "jobs": [
        f"tests.acceptance.jobs.{name}"
        for name in ("note", "for_ever", "until_stopping", "big_result", "asynchronous")
    ],
}
ASGI_APPLICATION = "tests.acceptance.served_asgi.application"
