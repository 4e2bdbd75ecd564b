"""Daphne as an installed app, for its `runserver`, without what its own configuration does: to
import Twisted in every process, which takes a quarter of a second and ten megabytes. Who serves
with Daphne (`serve --server daphne`, `runserver`) imports it there."""

from __future__ import annotations

from django.apps import AppConfig


class DaphneConfig(AppConfig):
    name = "daphne"
    verbose_name = "Daphne"
