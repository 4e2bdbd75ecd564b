"""The settings of servers that the acceptance tests start: the product's own, with a small ASGI
application in place of the real one, so that these tests look at processes alone."""

from fastgraph_site.settings import *  # noqa: F403

ASGI_APPLICATION = "tests.acceptance.served_asgi.application"
