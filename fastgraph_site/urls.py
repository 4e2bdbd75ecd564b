"""Every HTTP path that Django answers, with and without its trailing slash. WebSockets are routed
in `asgi.py`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)

from artifacts.api import ArtifactViewSet
from fastgraph_site.web import dashboard
from runs.api.health import HealthViewSet
from runs.api.runs import RunViewSet
from runs.api.workers import WorkerViewSet
from runs.api.workflows import WorkflowViewSet
from runs.http.routers import ApiRouter, paths

router = ApiRouter()
router.register("runs", RunViewSet, basename="run")
router.register("artifacts", ArtifactViewSet, basename="artifact")
router.register("workflows", WorkflowViewSet, basename="workflow")
router.register("workers", WorkerViewSet, basename="worker")
router.register("health", HealthViewSet, basename="health")

urlpatterns: list[URLPattern | URLResolver] = [
    re_path(r"^api/schema/?$", SpectacularJSONAPIView.as_view(), name="schema"),
    *paths(router),
    re_path(r"^docs/?$", SpectacularSwaggerView.as_view(), name="docs"),
    re_path(r"^redoc/?$", SpectacularRedocView.as_view(), name="redoc"),
    path("favicon.ico", RedirectView.as_view(url="/static/dashboard/favicon.svg")),
    path("admin", RedirectView.as_view(url="/admin/", query_string=True)),
    path("admin/", admin.site.urls),
    path("", dashboard.page, name="dashboard"),
    path("new", dashboard.page),
    path("runs/<uuid:run_id>", dashboard.page, name="dashboard-run"),
]

handler400 = "runs.http.problems.bad_request"
handler403 = "runs.http.problems.forbidden"
handler404 = "runs.http.problems.not_found"
handler500 = "runs.http.problems.server_error"
