"""The shape of an artifact, for the API's schema."""

from __future__ import annotations

from rest_framework import serializers as s

from runs.http.schemas import Shape


class ArtifactSerializer(Shape):
    id = s.UUIDField()
    artifact_id = s.UUIDField(help_text="The same as `id`")
    run = s.UUIDField()
    node = s.CharField(allow_blank=True, help_text="Empty for what the run itself made")
    name = s.CharField()
    media_type = s.CharField()
    size = s.IntegerField(help_text="Bytes")
    sha256 = s.CharField()
    created_at = s.DateTimeField()
    url = s.CharField(help_text="Path of the file")
