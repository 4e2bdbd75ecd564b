"""`manage.py serve`: the web process and the worker cluster, started and stopped together."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from fastgraph_site.server import readiness
from fastgraph_site.server.protocol import SERVERS
from fastgraph_site.server.supervisor import Supervisor
from runs.cluster.main import Cluster
from runs.management import database


class Command(BaseCommand):
    help = "Serve the dashboard, the API and the workers until Ctrl-C or SIGTERM."
    requires_system_checks = ()  # they are made while the web process loads

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.HOST, help="a loopback address")
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--server", choices=SERVERS, default=SERVERS[0])
        parser.add_argument(
            "--no-workers",
            action="store_true",
            help="serve only; runs wait until `manage.py workers` runs somewhere",
        )
        parser.add_argument("--skip-checks", action="store_true", help="skip system checks")
        parser.add_argument(
            "--migrate", action="store_true", help="bring the database up to date first"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["server"] == "daphne" and ":" in options["host"]:
            raise CommandError("daphne serves IPv4 only here: use --host 127.0.0.1, or uvicorn.")
        with readiness.listen(options["host"], options["port"]) as listener:
            cluster = None
            if not options["no_workers"]:
                cluster = Cluster(keep_from_children=[listener.fileno()])
            code = Supervisor(
                listener=listener,
                server=options["server"],
                cluster=cluster,
                check=lambda: self._check(options),
            ).run()
        sys.exit(code)

    def _check(self, options: dict[str, Any]) -> None:
        """Raise what speaks against serving."""
        checked = not options["skip_checks"]
        if checked:
            self.check()
        if options["migrate"] and database.missing_migrations():
            if checked:  # those that `migrate` makes besides; it would print the others again
                self.check(tags=[Tags.database], databases=[DEFAULT_DB_ALIAS])
            self.stdout.write("Migrating the database ...")
            call_command("migrate", verbosity=0, skip_checks=True)
        database.require_migrated()
