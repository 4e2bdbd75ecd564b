"""The admin as a whole: how it is called, and what is not in it.

Until logins exist, any program on this machine is the admin's user. So nothing is in it that could
run code or give somebody a way in for later: no jobs and schedules of django-q2, no users and
groups. `manage.py` has commands for these.
"""

from __future__ import annotations

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model

admin.site.site_header = "FastGraph Server"
admin.site.site_title = "FastGraph Server"
admin.site.index_title = "The record"
admin.site.site_url = "/"

_OUTSIDE: list[type[Model]] = [User, Group, *apps.get_app_config("django_q").get_models()]

for model in _OUTSIDE:
    if admin.site.is_registered(model):
        admin.site.unregister(model)
