"""What runs made: one row per artifact, its bytes in the content-addressed store."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from runs.fields import NameField


class Artifact(models.Model):
    """A file that a node, or the end of a run, made. The bytes are found by `sha256`; two
    artifacts with the same bytes share them. The id follows from run, task and name, so that a
    node that is run again replaces its row."""

    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey("runs.Run", on_delete=models.CASCADE, related_name="artifacts")
    node = NameField(blank=True, default="")
    name = models.CharField(max_length=255)
    media_type = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["-created_at", "-id"], name="artifact_newest")]

    def __str__(self) -> str:
        return self.name
