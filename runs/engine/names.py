"""What nodes, state keys, workflows and artifacts may be called; what kind of file the name of an
artifact says it is, and what may be in it."""

from __future__ import annotations

import mimetypes
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set

#: How many characters the name of a node, a state key, a task, a graph or a workflow may have, and
#: a version. Postgres has no room for much more in an index.
MAX_NAME = 500
#: The same of an artifact's name.
MAX_LENGTH = 255
#: What an artifact may be made of.
Content = bytes | bytearray | memoryview | str

# Bidirectional overrides let "report<U+202E>fdp.exe" show as "reportexe.pdf".
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Marks of the direction; letters that are blank.
_DIRECTIONS = frozenset("\u061c\u200e\u200f")
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# By blocks, as Unicode allots them. Thai, Lao, Burmese, Khmer and their neighbours have no spaces
# between words; Hebrew, Arabic and others run from right to left (U+061C is a mark among them).
_WITHOUT_SPACES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf\u1b00-\u1b7f\ua980-\ua9ff\uaa60-\uaadf"
)
_RIGHT_TO_LEFT = (
    "\u0590-\u061b\u061d-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
)
#: What scripts and emoji are spelled with, where it belongs. Elsewhere it would be invisible.
_SPELLING = re.compile(
    # Joiners: in Persian, Indic scripts and emoji.
    "(?<=[^\x00-\x7f\u200c\u200d])[\u200c\u200d]"
    # Where a word ends.
    f"|(?<=[{_WITHOUT_SPACES}])\u200b(?=[{_WITHOUT_SPACES}])"
    # Which way the signs beside it run.
    f"|(?<=[{_RIGHT_TO_LEFT}])[\u061c\u200e\u200f]|[\u061c\u200e\u200f](?=[{_RIGHT_TO_LEFT}])"
    # Flags of regions: a black flag, up to six letters and digits as tags, the tag that ends them.
    "|(?<=\U0001f3f4)[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f"
)
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})

_WORD = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_TYPE = re.compile(rf'{_WORD}/{_WORD}(?: *; *{_WORD}=(?:{_WORD}|"[ -!#-\[\]-~]*"))*')
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2"}

# The interpreter's own table only: one that also reads the machine's files answers differently
# from host to host.
_types = mimetypes.MimeTypes()
for _type, _suffix in (
    ("text/markdown", ".md"),
    ("application/x-ndjson", ".jsonl"),
    ("application/yaml", ".yaml"),
    ("application/yaml", ".yml"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("image/webp", ".webp"),
):
    _types.add_type(_type, _suffix)


def as_text(name: str) -> str:
    """`name` as plain text: a member of a StrEnum, as any instance of a subclass of `str`, names
    what its text names."""
    return name if type(name) is str else str.__str__(name)


def name_fault(name: str) -> str:
    """What keeps `name` from being stored as it is by every journal; empty when nothing does."""
    if len(name) > MAX_NAME:
        return f"has {len(name)} characters; use at most {MAX_NAME}"
    if not name.isascii() and any(0xD800 <= ord(char) < 0xE000 for char in name):
        return "has half of a surrogate pair; use well-formed Unicode"
    return ""


def label_fault(name: str) -> str:
    """As `name_fault`, for names that people tell apart by looking: also what would show them as
    nothing, or as another name. Control characters are taken, as they are in state keys."""
    if fault := name_fault(name):
        return fault
    if not any(map(_is_shown, name)):
        return "has nothing that can be seen; use letters, digits or signs"
    for char in _SPELLING.sub("", name):
        if _is_format(char):
            return f"has the invisible character U+{ord(char):04X}; leave it out"
    return ""


def _is_shown(char: str) -> bool:
    category = unicodedata.category(char)
    if category == "Cc":
        return not char.isspace()
    # What is not assigned may be, in a newer Unicode than this Python's: an emoji.
    return char not in _FILLERS and (category[0] in "LNPS" or category in ("Cn", "Co"))


def _is_format(char: str) -> bool:
    """Whether it only tells how others are shown. Some of Arabic's and of older scripts' that
    Unicode counts as such are signs to be seen."""
    is_sign = unicodedata.bidirectional(char) in ("AN", "AL", "L") and char not in _DIRECTIONS
    return unicodedata.category(char) == "Cf" and not is_sign


def check_name(name: str) -> str:
    """`name` as plain text when it can name an artifact; ValueError that says what is wrong
    otherwise. It never becomes a path here, but it does on the disk of whoever downloads it."""
    if not isinstance(name, str):
        raise TypeError(
            f"An artifact's name is a text like 'report.md', not {type(name).__name__}."
        )
    name = as_text(name)
    if not name.strip() or name in (".", ".."):
        raise ValueError(f"{name!r} cannot name an artifact; use something like 'report.md'.")
    if len(name) > MAX_LENGTH:
        raise ValueError(
            f"An artifact's name has at most {MAX_LENGTH} characters; this one has {len(name)}."
        )
    for char in name:
        if char in "/\\":
            raise ValueError(f"An artifact's name is not a path: {name!r} contains {char!r}.")
        if is_invisible(char):
            raise ValueError(
                f"An artifact's name has no control characters: {name!r} has U+{ord(char):04X}."
            )
    if (size := len(name.encode())) > MAX_LENGTH:
        raise ValueError(
            f"An artifact's name has at most {MAX_LENGTH} bytes in UTF-8, as no file system takes"
            f" more; this one has {size}."
        )
    return name


def is_invisible(char: str) -> bool:
    """Whether `char` is a control character, or hides what a name really is."""
    return char in _OVERRIDES or unicodedata.category(char) in _REFUSED_CATEGORIES


def content(data: object) -> bytes:
    """The bytes of an artifact that is given as `data`; text is stored as UTF-8. They are a copy:
    what a buffer becomes later changes nothing. TypeError for what is neither bytes nor text:
    `bytes()` would make five NULs of the number 5."""
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        try:
            return data.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                "The text of an artifact has half of a surrogate pair (U+D800 to U+DFFF) at"
                f" character {error.start}, which UTF-8 cannot store. Encode it yourself and give"
                " the bytes."
            ) from None
    if isinstance(data, bytes | bytearray):
        return bytes(data)
    if isinstance(data, memoryview) and data.format in ("B", "b", "c"):
        return data.tobytes()
    raise TypeError(f"An artifact's content is bytes or text, not {_named(data)}. {_advice(data)}")


def _named(data: object) -> str:
    if isinstance(data, memoryview):
        return f"a memoryview of items of the format {data.format!r}"
    return type(data).__name__


def _advice(data: object) -> str:
    if data is None:
        return "Give b'' for an empty file."
    if callable(getattr(data, "read", None)):
        return "Give what its read() answers."
    if callable(getattr(data, "tobytes", None)):
        return "Give its tobytes()."
    if isinstance(data, int | float):
        return "Give str(value) for its digits."
    if isinstance(data, Iterable) and not isinstance(data, Mapping | Sequence | Set):
        return "Give b''.join(parts), or ''.join(parts), of what it yields."
    return "Give json.dumps(value) for its JSON, or str(value)."


def media_type(name: str, given: str | None = None) -> str:
    """`given`, or what the ending of `name` stands for: `application/octet-stream` when it stands
    for nothing. A compressed file is what it is compressed with: `a.csv.gz` is gzip. ValueError
    when `given` is not a media type."""
    if given is not None:
        if not isinstance(given, str):
            raise TypeError(f"A media type is a text like 'text/csv', not {type(given).__name__}.")
        if len(given) > MAX_LENGTH or not _MEDIA_TYPE.fullmatch(given):
            raise ValueError(f"{given!r} is not a media type; one looks like 'text/csv'.")
        return as_text(given)
    kind, encoding = _types.guess_type(name, strict=False)
    if encoding is not None:
        return _COMPRESSED.get(encoding, "application/octet-stream")
    return kind or "application/octet-stream"
