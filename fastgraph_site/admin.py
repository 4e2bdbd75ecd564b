"""The admin as a whole: how it is called."""

from __future__ import annotations

from django.contrib import admin

admin.site.site_header = "FastGraph Server"
admin.site.site_title = "FastGraph Server"
admin.site.index_title = "The record"
admin.site.site_url = "/"
