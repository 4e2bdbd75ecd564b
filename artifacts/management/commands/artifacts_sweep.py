"""`manage.py artifacts_sweep`: free the disk of bytes that no artifact refers to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from artifacts.sweep import orphans, sweep_orphans
from runs.management import database


class Command(BaseCommand):
    help = "Delete stored bytes that no artifact refers to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            type=float,
            default=24.0,
            metavar="HOURS",
            help="leave younger files alone: their artifact may be about to be recorded (24)",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="list what would be deleted, delete nothing"
        )

    def handle(self, *args: Any, older_than: float, dry_run: bool, **options: Any) -> None:
        if not 0 <= older_than < 10**6:
            raise CommandError("--older-than is a number of hours, 0 or more.")
        database.require_migrated()
        age = timedelta(hours=older_than)
        if dry_run:
            found = list(orphans(age))
            for orphan in found:
                self.stdout.write(f"{orphan.path}  {orphan.size} bytes")
            total = sum(orphan.size for orphan in found)
            self.stdout.write(f"Would delete {len(found)} files, {total} bytes.")
        else:
            swept = sweep_orphans(age)
            self.stdout.write(f"Deleted {swept.files} files, {swept.bytes} bytes.")
