"""Why a run is pending gets a column of its own. Before, `wake_at` of a pending run meant that it
goes on (`resumed`), and did not lose its worker (`recovered`)."""

from typing import Any

from django.db import migrations, models
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

RESUMED = ("answered", "woken", "paused", "proven")
#: What the newest event of a run that goes on says of the reason.
REASONS = {"interrupted": "answered", "sleeping": "woken", "paused": "paused"}


def fill(apps: Any, schema_editor: Any) -> None:
    """Give each pending run its reason, from what the version before left."""
    run, event = apps.get_model("runs", "Run"), apps.get_model("runs", "Event")
    pending = run.objects.filter(status="pending")
    pending.filter(attempt=0).update(pending_reason="created")
    begun = pending.filter(attempt__gt=0)
    begun.filter(wake_at=None, crashes=0).update(pending_reason="stopped")
    begun.filter(wake_at=None, crashes__gt=0).update(pending_reason="lost")
    goes_on = begun.filter(wake_at__isnull=False)
    goes_on.update(pending_reason="proven")
    newest = event.objects.filter(run=OuterRef("pk"), seq=OuterRef("seq")).values("name")
    for name, reason in REASONS.items():
        told = goes_on.annotate(newest=Subquery(newest)).filter(newest=name)
        run.objects.filter(pk__in=told.values("pk")).update(pending_reason=reason)
    pending.update(wake_at=None)


def empty(apps: Any, schema_editor: Any) -> None:
    """Say it by `wake_at` again."""
    runs = apps.get_model("runs", "Run").objects
    runs.filter(status="pending", pending_reason__in=RESUMED).update(wake_at=Now())


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0013_names_of_any_length"),
    ]

    operations = [
        migrations.AlterField(
            model_name="run",
            name="wake_at",
            field=models.DateTimeField(
                blank=True, help_text="when the sweep wakes it, while it sleeps or asks", null=True
            ),
        ),
        # Rows of runs that are not pending get an empty reason without being written once more.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.AddField(
                    model_name="run",
                    name="pending_reason",
                    field=models.CharField(max_length=12, blank=True, default=""),
                ),
            ],
            state_operations=[
                migrations.AddField(
                    model_name="run",
                    name="pending_reason",
                    field=models.CharField(
                        blank=True,
                        choices=[
                            ("created", "Created"),
                            ("answered", "Answered"),
                            ("woken", "Woken"),
                            ("paused", "Paused"),
                            ("proven", "Proven"),
                            ("stopped", "Stopped"),
                            ("lost", "Lost"),
                        ],
                        default="created",
                        help_text="why it is pending; empty in any other status",
                        max_length=12,
                    ),
                ),
            ],
        ),
        migrations.RunPython(fill, empty),
    ]
