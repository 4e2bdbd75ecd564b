"""What the admin pages of all models share: lists whose cost does not grow with the table, search
by the beginning of an id, and rows that cannot be edited."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator

#: Characters of a search that count: as many as a text that is searched has at most.
MAX_TERM = 255
_HEX = re.compile(r"[0-9a-f]{4,32}")


class BoundedPaginator(_Paginator):
    """Counts no further than `LIMIT`: what lies deeper is found by search and filters, as paging
    there would read everything before it."""

    LIMIT = 2_000

    @cached_property
    def count(self) -> int:
        return min(self._counted, self.LIMIT)

    @property
    def bounded(self) -> bool:
        """Whether there is more than the pages show."""
        return self._counted > self.LIMIT

    @cached_property
    def _counted(self) -> int:
        found: Any = self.object_list[: self.LIMIT + 1]
        return found.count() if isinstance(found, QuerySet) else len(found)


class RecordAdmin(_ModelAdmin):
    """A list that is cheap on a table of any size. `id_fields` are searched by the beginning of an
    id, `text_fields` by the beginning of a text, in any case."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count the whole table, once per choice
    list_per_page = 50
    sortable_by = ()
    id_fields: tuple[str, ...] = ("id",)
    text_fields: tuple[str, ...] = ()
    #: Hashes, searched by their beginning in lower-case hexadecimal.
    hash_fields: tuple[str, ...] = ()
    #: Columns that may be large: no list reads them.
    large_fields: tuple[str, ...] = ()
    search_fields = ("pk",)  # shows the search box; get_search_results decides
    search_help_text = "The first characters of an id"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; as Django shows it for a filter that makes no sense (`?e=1`) when the database
        does not take its value: a NUL on Postgres, a number that is too large on SQLite."""
        try:
            return super().changelist_view(request, extra_context)
        except (DataError, OverflowError, ValueError):
            if request.method != "GET":
                raise
            return HttpResponseRedirect(f"{request.path}?e=1")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*self.large_fields)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        wanted = Q(pk__in=[])
        if bounds := id_range(term):
            for field in self.id_fields:
                wanted |= Q(**{f"{field}__range": bounds})
        for field in self.hash_fields if term.isascii() and term.isalnum() else ():
            low = term.lower()[:MAX_TERM]
            wanted |= Q(**{f"{field}__gte": low, f"{field}__lt": f"{low}g"})
        for field in self.text_fields:
            wanted |= Q(**{f"{field}__folded__startswith": term[:MAX_TERM]})
        return queryset.filter(wanted), False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(RecordAdmin):
    """Rows that the journal owns: shown, never changed and never deleted one by one."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def id_range(term: str) -> tuple[UUID, UUID] | None:
    """The lowest and the highest id that begin with `term` (at least four hexadecimal digits); None
    when no id does. A range and not LIKE: that is what the primary key's index answers."""
    digits = term.replace("-", "").lower()
    if not _HEX.fullmatch(digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
