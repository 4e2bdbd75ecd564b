"""Artifacts over HTTP: what runs made, as a list and as files.

The bytes come from graphs and their input, so a browser must never take them for part of this
site: they are attachments, or inline without scripts, and are never sniffed.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from django.http.response import HttpResponseNotModified
from django.utils.cache import patch_cache_control
from django.utils.http import parse_etags, quote_etag
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from artifacts.download_names import disposition
from artifacts.models import Artifact
from artifacts.schemas import ArtifactSerializer
from artifacts.store import open_artifact
from runs.http.pagination import PAGE_PARAMETERS, KeysetPagination
from runs.http.parameters import Parameter, parse_uuid
from runs.http.viewset import ApiViewSet, documented, problems, unknown
from runs.queries.summaries import timestamp

FILTERS = (Parameter(name="run", kind="uuid", help="Artifacts of this run only."),)
FILE = (
    Parameter(
        name="inline",
        kind="choice",
        choices=("1", "0"),
        help="`1`: show it in the browser instead of saving it, where its type is safe: images"
        " other than SVG, JSON, text, and Markdown as text.",
    ),
)

#: How a type is shown inline. Everything else is a download.
INLINE = {
    "application/json": "application/json",
    "text/plain": "text/plain; charset=utf-8",
    "text/markdown": "text/plain; charset=utf-8",
    **{name: name for name in ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif")},
}
#: Types that most artifacts have, for the schema.
_TYPES = ("application/octet-stream", "text/plain", "text/markdown", "image/png")


@extend_schema(tags=["artifacts"])
@extend_schema_view(
    list=extend_schema(
        summary="List artifacts, newest first",
        parameters=documented([*FILTERS, *PAGE_PARAMETERS]),
        responses={200: ArtifactSerializer(many=True), **problems(400, 503)},
    ),
    retrieve=extend_schema(
        summary="Download an artifact",
        parameters=documented(FILE),
        responses={
            (200, "*/*"): OpenApiResponse(
                OpenApiTypes.BINARY, description="Its bytes, with the type that its node gave it."
            ),
            **{(200, name): OpenApiTypes.BINARY for name in _TYPES},
            (200, "application/json"): OpenApiTypes.ANY,
            304: OpenApiResponse(description="The copy with this ETag is still right."),
            **problems(400, 404, 410, 503),
        },
    ),
)
class ArtifactViewSet(ApiViewSet):
    """An artifact is a file that a run made."""

    queryset = Artifact.objects.all()
    serializer_class = ArtifactSerializer
    pagination_class = KeysetPagination
    lookup_url_kwarg = "artifact_id"
    lookup_value_regex = "[^/]+"
    query = {"list": (*FILTERS, *PAGE_PARAMETERS), "retrieve": FILE}

    def list(self, request: Request) -> Response:
        found = Artifact.objects.all()
        if self.values["run"]:
            found = found.filter(run_id=self.values["run"])
        return self.page(found, _row)

    def retrieve(self, request: Request, artifact_id: str) -> HttpResponseBase:
        artifact_uuid = parse_uuid(artifact_id)
        artifact = Artifact.objects.filter(pk=artifact_uuid).first() if artifact_uuid else None
        if artifact is None:
            raise unknown("artifact", artifact_id)
        etag = quote_etag(artifact.sha256)
        response: HttpResponseBase
        if _matches(request.headers.get("If-None-Match", ""), etag):
            response = HttpResponseNotModified()
        else:
            inline, body = self.values["inline"] == "1", request.method != "HEAD"
            response = _file(artifact, inline=inline, body=body)
        response["ETag"] = etag
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = "sandbox; default-src 'none'"
        # The id may be written again by a repeated step: ask each time, the ETag answers.
        patch_cache_control(response, private=True, no_cache=True)
        return response


def _row(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": str(artifact.id),
        "artifact_id": str(artifact.id),
        "run": str(artifact.run_id),
        "node": artifact.node,
        "name": artifact.name,
        "media_type": artifact.media_type,
        "size": artifact.size,
        "sha256": artifact.sha256,
        "created_at": timestamp(artifact.created_at),
        "url": f"/api/artifacts/{artifact.id}",
    }


def _file(artifact: Artifact, *, inline: bool, body: bool) -> StreamingHttpResponse:
    shown_as = INLINE.get(artifact.media_type.partition(";")[0].strip().lower())
    file = open_artifact(artifact.id, artifact.sha256, artifact.size)
    safe = inline and shown_as is not None
    response = StreamingHttpResponse(
        file.pieces() if body else (),
        content_type=shown_as if safe else _plain_type(artifact.media_type),
    )
    response._resource_closers.append(file.close)  # type: ignore[attr-defined]
    response["Content-Disposition"] = disposition(artifact.name, artifact.id.hex, inline=safe)
    response["Content-Length"] = str(artifact.size)
    return response


def _plain_type(media_type: str) -> str:
    """`media_type` where it can stand in a header."""
    usable = media_type.isascii() and media_type.isprintable() and "/" in media_type
    return media_type if usable else "application/octet-stream"


def _matches(header: str, etag: str) -> bool:
    tags = parse_etags(header)
    return "*" in tags or etag in (tag.removeprefix("W/") for tag in tags)
