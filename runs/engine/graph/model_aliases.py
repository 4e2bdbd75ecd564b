"""JSON Schema of pydantic's classes that takes each name by which a field may be given. Pydantic's
own says one name of each: the first alias."""

from __future__ import annotations

from functools import cache
from typing import Any

Schema = dict[str, Any]


def described(kind: Any, template: str) -> Schema:
    """The schema of a model or a pydantic dataclass, with references as `template` says."""
    from pydantic import TypeAdapter

    describe = getattr(kind, "model_json_schema", None) or TypeAdapter(kind).json_schema
    found: Schema = describe(ref_template=template, schema_generator=_generator())
    return found


@cache
def _generator() -> Any:  # made when it is needed: pydantic is imported by then
    from pydantic.json_schema import GenerateJsonSchema

    class EachName(GenerateJsonSchema):
        def model_schema(self, schema: Any) -> Any:
            found, kind = super().model_schema(schema), schema["cls"]
            return _each_name(found, kind.model_fields, kind.model_config, self.by_alias)

        def dataclass_schema(self, schema: Any) -> Any:
            found, kind = super().dataclass_schema(schema), schema["cls"]
            fields = getattr(kind, "__pydantic_fields__", {})
            return _each_name(found, fields, schema.get("config") or {}, self.by_alias)

    return EachName


def _each_name(found: Schema, fields: Any, config: Any, by_alias: bool) -> Schema:
    """`found` without what it says of the names of fields that have several: whether one of them
    was given, and no other key, is seen when the object is made."""
    if not by_alias or "properties" not in found:
        return found
    required, others = set(found.get("required", ())), set()
    for name, info in fields.items():
        names = _names(name, info, config)
        if len(names) > 1 or not names <= found["properties"].keys():
            required -= {name, *names}
            others |= names
    others -= found["properties"].keys()
    kept = [name for name in found.get("required", ()) if name in required]
    found = {key: value for key, value in found.items() if key != "required"}
    if kept:
        found["required"] = kept
    if others and found.get("additionalProperties") is False:
        del found["additionalProperties"]
    return found


def _names(name: str, info: Any, config: Any) -> set[str]:
    """The keys by which a mapping may give the field; of an `AliasPath` the first."""
    alias = info.validation_alias
    if alias is None or config.get("validate_by_alias") is False:
        return {name}
    choices = getattr(alias, "choices", [alias])
    names = {str(one if isinstance(one, str) else one.path[0]) for one in choices}
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    return names | {name} if by_name else names
