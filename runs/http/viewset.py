"""What every viewset of the API shares: strict query parameters, pages, documented problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from runs.errors import Problem
from runs.http import parameters
from runs.http.parameters import Parameter
from runs.http.problems import MEDIA_TYPE
from runs.http.schemas import ProblemSerializer

_MEANINGS: Mapping[int, str] = {
    400: "A query parameter or the body is not understood (`bad_parameter`, `malformed_json`).",
    404: "There is no such thing.",
    409: "It contradicts what is; `code` says how.",
    410: "It existed, and its bytes are gone.",
    413: "The body is too large.",
    422: "The body is understood, and does not fit; `errors` says where.",
    503: "The database does not answer.",
}


class ApiViewSet(GenericViewSet[Any]):
    """`query` declares the query parameters of each action; anything else is refused. `values`
    holds what was given."""

    query: ClassVar[Mapping[str, Sequence[Parameter]]] = {}
    values: dict[str, Any]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        self._user = getattr(request, "user", None)  # DRF puts its own in its place
        return super().initialize_request(request, *args, **kwargs)

    def who(self) -> str:
        """The name of the user who asks; empty for nobody."""
        return "" if self._user is None else self._user.get_username()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Without an action the method is wrong (405) or asks about the others (OPTIONS).
        if self.action in (None, "metadata"):
            return
        self.values = parameters.read(request.query_params, self.query.get(self.action, ()))

    def page(self, rows: QuerySet[Any, Any], shape: Callable[[Any], dict[str, Any]]) -> Response:
        """One page of `rows`, each as `shape` makes it."""
        return self.get_paginated_response(
            [shape(row) for row in self.paginate_queryset(rows) or ()]
        )


def documented(declared: Sequence[Parameter]) -> list[OpenApiParameter]:
    """The declared parameters for `extend_schema`."""
    return [parameter.documented() for parameter in declared]


def problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    """These statuses as problem details, for the `responses` of `extend_schema`."""
    return {
        (status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description=_MEANINGS[status])
        for status in statuses
    }


def unknown(what: str, given: str) -> Problem:
    """404 for an id in a path, whether it is nobody's or none at all."""
    return Problem(404, f"unknown_{what}", f"There is no {what} with the id {given[:100]!r}.")
