"""Values: dataclasses that nobody changes after they were made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from dataclasses import dataclass

    def value(*, frozen: bool, **options: Any) -> Any:
        """A dataclass that is frozen for the type checker only: making a frozen one costs twice as
        much, and a superstep makes a dozen."""
        return dataclass(**options)


__all__ = ["value"]
