"""Artifacts in the admin: what was made, by whom, and the file itself."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from artifacts.models import Artifact
from runs.admin.base import ReadOnlyAdmin
from runs.admin.display import row_link


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    list_display = ("name", "media_type", "bytes", "node", "created_at", "run_link", "download")
    id_fields = ("id", "run__id")
    text_fields = ("name",)
    hash_fields = ("sha256",)
    search_help_text = "The beginning of an artifact's or a run's id, its name or its SHA-256"
    fields = (
        "id", "name", "media_type", "bytes", "sha256", "node", "run_link", "created_at", "download",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="size")
    def bytes(self, artifact: Artifact) -> str:
        return f"{artifact.size:,} bytes"

    @admin.display(description="run")
    def run_link(self, artifact: Artifact) -> SafeString | str:
        return row_link("runs_run", artifact.run_id)

    @admin.display(description="file")
    def download(self, artifact: Artifact) -> SafeString:
        return format_html('<a href="/api/artifacts/{}">Download</a>', artifact.pk)
