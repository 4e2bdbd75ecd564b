"""Paths of the API: each with and without its trailing slash, and `/api/` lists them."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path, re_path
from rest_framework.routers import APIRootView, DefaultRouter
from rest_framework.views import APIView

from runs.http.problems import no_such_path


class ApiRoot(APIRootView):
    """FastGraph Server: durable workflows. Documentation is at /docs, the dashboard at /."""

    schema = None


class ApiRouter(DefaultRouter):
    """DRF's router; neither form of a path redirects, so that no POST loses its body."""

    include_format_suffixes = False
    APIRootView = ApiRoot

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


class NoSuchPath(APIView):
    """What is under `/api/` and has no view, for every method and also while debugging."""

    schema = None

    def initial(self, request: object, *args: object, **kwargs: object) -> None:
        raise no_such_path(self.request)


def paths(router: ApiRouter, prefix: str = "api") -> list[URLPattern | URLResolver]:
    """The URL patterns of `router` under `prefix`, without and with its slash; everything else
    below it is a 404 problem."""

    nowhere = NoSuchPath.as_view()
    return [
        path(prefix, router.get_api_root_view(api_urls=router.urls)),
        path(f"{prefix}/", include(router.urls)),
        re_path(rf"^{prefix}/.*$", nowhere),
    ]
