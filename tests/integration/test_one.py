"""An object that is read past the ORM is what the ORM reads."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from runs.db.compiled import CompiledLookup
from runs.models import Run, Thread

pytestmark = pytest.mark.django_db


def test_it_has_the_same_values_and_can_be_saved() -> None:
    given = {"payload": {"a": [1, 2.5, None]}, "tags": ["x"], "metadata": {"m": "ü"}, "name": "one"}
    made = [Run.objects.create(thread=Thread.objects.create(), workflow="w", **given) for _ in "ab"]
    one = CompiledLookup(Run)
    for run in made:
        found, known = one.get(run.pk), Run.objects.get(pk=run.pk)
        assert found is not None
        names = [field.attname for field in Run._meta.concrete_fields]
        assert {n: getattr(found, n) for n in names} == {n: getattr(known, n) for n in names}
        assert model_to_dict(found) == model_to_dict(known)
        found.name = "two"
        found.save(update_fields=["name"])
        assert Run.objects.get(pk=run.pk).name == "two"
    assert one.get(uuid4()) is None


def test_it_is_one_question() -> None:
    run = Run.objects.create(thread=Thread.objects.create(), workflow="w", payload={})
    one = CompiledLookup(Run)
    with CaptureQueriesContext(connection) as queries:
        assert one.get(run.pk) == run
    assert len(queries) == 1
