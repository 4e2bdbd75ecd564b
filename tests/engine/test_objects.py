"""Objects of allowed classes come back with all that they hold, or are refused where they are
written."""

from __future__ import annotations

import dataclasses
import enum
import functools
import threading
from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pytest
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as checked_dataclass

from runs.engine import NotStorableError, serde
from runs.engine.values import allowed, objects

T = TypeVar("T")


def back(value: Any) -> Any:
    return serde.loads(serde.dumps(value))


def held(value: Any) -> Any:
    """All that an object holds, to compare without its own `__eq__`."""
    return type(value), objects.parts_of(value)


@serde.allow
@dataclass
class SetLater:
    n: int
    seen: int = field(init=False, default=0)
    never: int = field(init=False, repr=False)


@serde.allow
@dataclass
class Taxed:
    net: float
    gross: float = 0.0

    def __post_init__(self) -> None:
        self.net *= 1.19
        self.gross = self.net + 1


@serde.allow
@dataclass
class WithInitVar:
    n: int
    plus: InitVar[int]

    def __post_init__(self, plus: int) -> None:
        self.n += plus


@serde.allow
@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    items: list[Any] = field(default_factory=list)
    note: str = field(default="", compare=False)


class Base:
    __slots__ = ("__hidden", "hint")

    def hide(self, value: Any) -> None:
        self.__hidden = value

    def shown(self) -> Any:
        return self.__hidden


@serde.allow
@dataclass(slots=True)
class Derived(Base):
    n: int


@serde.allow
@dataclass(eq=False)
class Liar:
    n: int

    def __eq__(self, other: object) -> bool:
        return True


@serde.allow
@dataclass
class Noted:
    n: int

    @functools.cached_property
    def twice(self) -> int:
        return 2 * self.n


@serde.allow
@dataclass
class Box(Generic[T]):
    held: T


@serde.allow
@checked_dataclass
class Checked:
    n: int

    def __post_init__(self) -> None:
        self.n += 1


@serde.allow
class Pair(NamedTuple):
    left: Any
    right: Any = None


@serde.allow
class Aliased(BaseModel):
    user_name: str = Field("nobody", alias="userName")
    other: int = Field(0, validation_alias=AliasChoices("o", "O"), serialization_alias="oo")


@serde.allow
class Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    n: int


@serde.allow
class Private(BaseModel):
    n: int
    _secret: int = PrivateAttr(0)


@serde.allow
class Doubles(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def _double(cls, n: int) -> int:
        return 2 * n

    @model_validator(mode="before")
    @classmethod
    def _count(cls, given: Any) -> Any:
        return {**given, "n": given["n"] + 1}


@serde.allow
class Lossy(BaseModel):
    model_config = ConfigDict(strict=True)
    password: str = Field(exclude=True)
    text: str = ""

    @field_serializer("text")
    def _short(self, text: str) -> str:
        return text[:1]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return len(self.text)

    @functools.cached_property
    def upper(self) -> str:
        return self.text.upper()


@serde.allow
class Animal(BaseModel):
    kind: str = "animal"


@serde.allow
class Cat(Animal):
    kind: str = "cat"
    lives: int = 9


@serde.allow
class Zoo(BaseModel):
    first: Animal
    others: dict[str, list[Animal]] = {}
    either: Annotated[Cat | Animal, Field()] = Animal()
    mode: Literal["a", "b"] = "a"


@serde.allow
class Numbers(RootModel[list[int]]):
    pass


@serde.allow
class Generic_(BaseModel, Generic[T]):
    held: T


serde.allow(Generic_[int])


def set_later() -> SetLater:
    made = SetLater(1)
    made.seen = 7
    return made


def derived() -> Derived:
    made = Derived(1)
    made.hide([1])
    return made


def added() -> Taxed:
    made = Taxed(1.0)
    made.extra = {"a": (1,)}  # type: ignore[attr-defined]
    return made


def noted() -> Noted:
    made = Noted(2)
    assert made.twice == 4
    return made


def private() -> Private:
    made = Private(n=1)
    made._secret = 9
    return made


def invalid() -> Doubles:
    made = Doubles(n=1)
    made.n = "two"  # type: ignore[assignment]
    return made


@serde.allow
class Root(RootModel[list[int]]):
    _seen: int = PrivateAttr(0)


def kept_root() -> Root:
    made = Root([1])
    made._seen = 2
    return made


@serde.allow
class WithSlot(BaseModel):
    __slots__ = ("late",)
    n: int = 0


def with_slot() -> WithSlot:
    made = WithSlot()
    object.__setattr__(made, "late", [1])
    return made


@serde.allow
@dataclass
class Wrong(Exception):
    code: int
    why: str = ""


def lossy() -> Lossy:
    made = Lossy(password="p", text="long")
    assert made.upper == "LONG"
    return made


@pytest.mark.parametrize(
    "value",
    [
        set_later(),
        Taxed(2.0),
        added(),
        WithInitVar(1, 2),
        Slotted(items=[Slotted(note="inner")], note="not compared"),
        derived(),
        Liar(1),
        Box[int](3),
        Checked(1),
        Pair(1, (Pair(2),)),
        Aliased.model_validate({"userName": "x", "o": 3}),
        Open.model_validate({"n": 1, "more": [2], "$type": "set", "value": 3}),
        private(),
        Doubles(n=2),
        invalid(),
        lossy(),
        Zoo(first=Cat(), others={"b": [Cat(lives=1), Animal()]}, either=Cat(lives=2)),
        Numbers([1, 2]),
        kept_root(),
        with_slot(),
        Wrong(1, "why"),
        Wrong(code=1),
        Generic_[int](held=3),
        Generic_(held=Taxed(1.0)),
        Animal.model_construct(_fields_set=set(), kind=3),
        [Taxed(1.0), {"k": Taxed(2.0)}, (Taxed(3.0), {Slotted(items=()): Pair({1}, [Taxed(4)])})],  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_object_comes_back_with_all_that_it_holds(value: Any) -> None:
    again = back(value)
    if type(value) is list:
        assert serde.dumps(again) == serde.dumps(value)
        assert repr(again) == repr(value)
        return
    assert held(again) == held(value)
    assert repr(again) == repr(value)
    assert str(again) == str(value)
    if isinstance(value, BaseModel):
        assert again.__dict__.keys() <= value.__dict__.keys()
        assert again.model_fields_set == value.model_fields_set
        assert again == value


def test_hidden_slots_come_back() -> None:
    assert back(derived()).shown() == [1]
    assert back(with_slot()).late == [1]


def test_cached_property_is_computed_again() -> None:
    assert back(noted()).twice == 4


class WithLock:
    """Kept out of the fields, as a client or a lock is."""


@serde.allow
@dataclass
class Locked:
    n: int

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.known = [self.n]


@serde.allow
class LockedModel(BaseModel):
    n: int = Field(alias="N")
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


def test_object_that_makes_its_own_lock_comes_back_with_another() -> None:
    again = back(Locked(1))
    assert (again.n, again.known) == (1, [1])
    assert type(again.lock) is type(threading.Lock())
    assert back(Locked(1)).lock is not Locked(1).lock


def test_attribute_that_its_class_does_not_make_again_is_refused_with_the_way_there() -> None:
    changed = Locked(1)
    changed.known = [1, 2]
    with pytest.raises(NotStorableError, match=r"_thread\.lock at \.a\[0\]\.lock cannot be stored"):
        serde.dumps({"a": [changed]})
    with pytest.raises(NotStorableError, match=r"lock at \._lock cannot be stored"):
        serde.dumps(LockedModel(N=1))


@serde.allow
@dataclass
class Rounds:
    """Its field is a property, which changes what it is given."""

    n: float

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


class _Half:
    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else owner.__dict__["n"] / 2

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__["n"] = value


Rounds.n = _Half()  # type: ignore[assignment]


def test_field_that_does_not_come_back_is_named() -> None:
    with pytest.raises(
        NotStorableError, match=r"Rounds at \.x\[0\] does not come back.*field 'n' would hold"
    ):
        serde.dumps({"x": [Rounds(3.0)]})


@serde.allow
@dataclass
class Listed(list):  # type: ignore[type-arg]
    n: int = 0


@serde.allow
@dataclass
class Problem(Exception):
    code: int


def test_object_with_more_than_its_fields_is_refused() -> None:
    made = Listed(n=1)
    made.append(2)
    with pytest.raises(NotStorableError, match="Listed does not come back as it is"):
        serde.dumps(made)
    again = back(Problem(4))
    assert isinstance(again, Problem)
    assert again.code == 4


def test_subclass_of_an_allowed_class_asks_to_be_allowed() -> None:
    class Kitten(Cat):
        pass

    with pytest.raises(NotStorableError, match=r"Kitten at \.first cannot be.*allow the"):
        serde.dumps(Zoo(first=Kitten()))


def test_secret_is_refused_with_a_remedy_that_works() -> None:
    with pytest.raises(NotStorableError, match=r"SecretStr at \.held cannot be.*Return plain"):
        serde.dumps(Generic_(held=SecretStr("x")))


def test_second_class_of_a_name_does_not_take_objects_of_the_first() -> None:
    def make() -> Any:
        @dataclass
        class Twin:
            n: int

        return serde.allow(Twin)

    first, second = make(), make()
    assert type(back(second(1))) is second
    with pytest.raises(NotStorableError, match="cannot be stored"):
        serde.dumps(first(1))


# Enums


@serde.allow
class Status(enum.StrEnum):
    OPEN = "open"


@serde.allow
class Level(enum.IntEnum):
    LOW = 1


@serde.allow
class Perm(enum.Flag):
    R = 1
    W = 2


@serde.allow
class Odd(enum.Enum):
    NAN = float("nan")
    WORKER = (threading.Lock,)
    PAIR = (1, 2)


@serde.allow
class Coded(enum.Enum):
    A = 1

    def __new__(cls, code: int) -> Coded:
        made = object.__new__(cls)
        made._value_ = f"code-{code}"
        return made


@pytest.mark.parametrize(
    "member",
    [Status.OPEN, Level.LOW, Perm.R | Perm.W, Perm(0), Odd.NAN, Odd.WORKER, Odd.PAIR, Coded.A],
)
def test_member_comes_back_as_itself(member: enum.Enum) -> None:
    assert back([member])[0] is member
    assert back({member: member}) == {member: member}


def test_member_of_an_enum_that_nobody_allowed_is_refused_with_the_way_out() -> None:
    class Colour(enum.StrEnum):
        RED = "red"

    with pytest.raises(NotStorableError, match=r"Colour at \.a cannot be stored.*allow the class"):
        serde.dumps({"a": Colour.RED})


# Classes that have changed since


def stored_as(value: Any, old: str, new: str) -> bytes:
    return serde.dumps(value).replace(old.encode(), new.encode())


def test_moved_class_is_found_by_its_old_name() -> None:
    stored = stored_as(Pair(1), f"{__name__}:Pair", "old.place:Couple")
    with pytest.raises(NotStorableError, match=r"old\.place:Couple.*known_as=\['old\.place:Cou"):
        serde.loads(stored)
    serde.allow(Pair, also_known_as=["old.place.Couple"])
    assert serde.loads(stored) == Pair(1)
    assert b"old.place" not in serde.dumps(serde.loads(stored))

    @serde.allow(also_known_as=["old.place:Trio"])
    @dataclass
    class Trio:
        n: int

    assert serde.loads(stored_as(Trio(1), f"{__name__}:{Trio.__qualname__}", "old.place:Trio")) == (
        Trio(1)
    )


def test_new_field_gets_its_default_and_a_gone_one_is_left_out() -> None:
    stored = serde.dumps(Slotted(items=[1]))
    assert serde.loads(stored.replace(b'"note":""', b'"gone":1')) == Slotted(items=[1])
    assert serde.loads(stored.replace(b'"items":[1],', b"")) == Slotted()
    assert serde.loads(serde.dumps(Cat()).replace(b'"lives":9', b'"gone":1')) == Cat()
    assert serde.loads(serde.dumps(Pair(1, 2)).replace(b'"right"', b'"gone"')) == Pair(1)


@pytest.mark.parametrize(
    ("stored", "why", "data"),
    [
        (
            stored_as(Liar(1), ":Liar", ":Gone"),
            "Gone, which this process does not allow",
            {"$class": f"{__name__}:Gone", "n": 1},
        ),
        (
            stored_as(Liar(1), '"n"', '"m"'),
            "without 'n', which the class asks for",
            {"$class": f"{__name__}:Liar", "m": 1},
        ),
        (
            stored_as(Open.model_validate({"n": 1, "more": Liar(2)}), ":Liar", ":Gone"),
            "Gone",
            None,
        ),
        (
            stored_as(Status.OPEN, "open", "shut"),
            "does not take any more",
            {"$class": f"{__name__}:Status", "value": "shut"},
        ),
        (
            b'{"$type":"hologram","value":[{"$type":"tuple","value":[1]}]}',
            "hologram",
            {"$class": "hologram", "value": [[1]]},
        ),
    ],
)
def test_what_cannot_be_rebuilt_is_refused_and_shown_as_data(
    stored: bytes, why: str, data: Any
) -> None:
    with pytest.raises(NotStorableError, match=why):
        serde.loads(stored)
    shown = serde.show(b'{"a":[%b]}' % stored)
    if data is not None:
        assert serde.plain(shown) == {"a": [data]}
    assert serde.dumps(shown) == b'{"a":[%b]}' % stored, "stored again as what it stands for"


def test_data_for_an_object_may_be_a_key() -> None:
    stored = stored_as({Pair(1): 1, frozenset({Pair(2)}): 2}, ":Pair", ":Gone")
    assert len(serde.show(stored)) == 2


# Records of earlier versions: `object`, with the fields alone


def earlier(cls: type, **fields: Any) -> bytes:
    body = serde.dumps(fields)
    return b'{"$type":"object","class":"%b","value":%b}' % (allowed.name_of(cls).encode(), body)


def test_record_of_an_earlier_version_comes_back_with_the_fields_that_it_has() -> None:
    taxed = serde.loads(earlier(Taxed, net=2.0, gross=3.0))
    assert (taxed.net, taxed.gross) == (2.0, 3.0)
    locked = serde.loads(earlier(Locked, n=3))
    assert (locked.n, locked.known) == (3, [3])
    assert serde.loads(earlier(WithInitVar, n=3)).n == 3
    assert serde.loads(earlier(Aliased, user_name="x", other=2)).user_name == "x"
    assert serde.loads(earlier(Doubles, n=4)).n == 4
    assert serde.loads(earlier(Private, n=4))._secret == 0


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(allowed, "_allowed", dict(allowed._allowed))
    monkeypatch.setattr(allowed, "_names", dict(allowed._names))
    monkeypatch.setattr(allowed, "_implied", set(allowed._implied))
    yield


def test_only_classes_with_fields_are_allowed() -> None:
    with pytest.raises(TypeError, match="WithLock is neither"):
        serde.allow(WithLock)
    with pytest.raises(TypeError, match="is neither"):
        serde.allow(dataclasses.make_dataclass("Made", ["n"])(1))
