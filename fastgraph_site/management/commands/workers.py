"""`manage.py workers`: a worker cluster without a web process, to add hands to a server that runs
elsewhere on the same database."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from fastgraph_site.server.supervisor import Supervisor
from runs.cluster.main import Cluster
from runs.management import database


class Command(BaseCommand):
    help = "Execute runs until Ctrl-C or SIGTERM, beside the server or on another machine."

    def handle(self, *args: Any, **options: Any) -> None:
        database.require_migrated()
        self.stdout.write("The workers are starting (Ctrl-C stops them).")
        self.stdout.flush()
        sys.exit(Supervisor(listener=None, cluster=Cluster()).run())
