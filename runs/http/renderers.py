"""How answers become bytes: JSON by orjson, or the browsable pages around the same JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from django.http import HttpRequest
from rest_framework import exceptions, renderers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from runs.errors import Problem


class JsonRenderer(BaseRenderer):
    """JSON in UTF-8. Takes plain JSON values and `orjson.Fragment`."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8; the media type has no such parameter
    render_style = "text"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        indent = bool(renderer_context and renderer_context.get("indent"))
        try:
            return orjson.dumps(data, option=orjson.OPT_INDENT_2 if indent else None, default=str)
        except TypeError:
            # A whole number beyond 64 bits: a node may compute one, and Postgres gives a float
            # like 1e23 back as one.
            return json.dumps(data, ensure_ascii=False, default=_plain).encode()


def _plain(value: Any) -> Any:
    return json.loads(value.contents) if isinstance(value, orjson.Fragment) else str(value)


class BrowsableRenderer(renderers.BrowsableAPIRenderer):
    """DRF's pages; the form to send JSON begins with the view's own example (`examples` by
    method) instead of an empty box."""

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Request) -> Any:
        form = super().get_raw_data_form(data, view, method, request)
        example = getattr(view, "examples", {}).get(method)
        if form is not None and example is not None:
            text = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
            form.fields["_content"].initial = text
        return form

    def get_extra_actions(self, view: Any, status_code: int) -> dict[str, str] | None:
        """Links to what can be looked at; a link cannot send a POST."""
        urls: dict[str, str] = super().get_extra_actions(view, status_code) or {}
        if not urls:
            return None
        looks = {
            action.kwargs["name"] for action in view.get_extra_actions() if "get" in action.mapping
        }
        return {name: url for name, url in urls.items() if name in looks}


class Negotiation(DefaultContentNegotiation):
    """Everyone is answered: JSON to whoever accepts nothing that we have, and any body is read as
    JSON whatever it calls itself (curl calls it a form)."""

    def select_parser(self, request: HttpRequest, parsers: Iterable[BaseParser]) -> BaseParser:
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        wanted = request.query_params.get("format")
        available = list(renderers)
        known = [renderer.format for renderer in available]
        if wanted is not None and wanted not in known:
            raise Problem(
                400, "bad_parameter", f"`format` must be one of: {', '.join(map(str, known))}."
            )
        try:
            renderer, media_type = super().select_renderer(request, available, format_suffix)
        except exceptions.NotAcceptable:
            return available[0], available[0].media_type
        return renderer, media_type
