"""The name under which browsers and `curl -OJ` save a download: `Content-Disposition`.

RFC 6266: `filename` is plain ASCII that every client saves as it is, and where that is not the
name itself, `filename*` beside it has the name in UTF-8. Rows of earlier versions may have names
that `runs.engine.names` refuses today, so nothing is taken on trust here.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from runs.engine.names import is_invisible

#: Bytes of a name that every file system takes.
MAX_BYTES = 255
#: Of the end of a name, so much at most is its extension.
MAX_EXTENSION = 20

#: Letters with a usual spelling in ASCII that taking away their accents does not give.
_SPELLED = str.maketrans(
    {
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O",
        "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th",
        "\u0131": "i", "\u2013": "-", "\u2014": "-", "\u2010": "-", "\u2011": "-",
        "\u2019": "'", "\u2018": "'",
    }
)  # fmt: skip
#: Not in a quoted `filename`: clients disagree about escapes, and Windows about the others.
_NOT_PLAIN = re.compile(r"[^ !#$&\'()+,\-.0-9;=@A-Z\[\]^_`a-z{}~]+")
#: Devices of Windows, whatever comes after a dot.
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\.|$)", re.IGNORECASE)
#: What RFC 5987 leaves as it is.
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"


def disposition(name: str, key: str, *, inline: bool = False) -> str:
    """The value of the header for the artifact `name`. `key` tells apart those of which nothing is
    left in ASCII: its first characters stand for the name then."""
    real = file_name(name)
    plain = _ascii(real, key)
    header = f'{"inline" if inline else "attachment"}; filename="{plain}"'
    if plain != real:
        header += f"; filename*=UTF-8''{quote(real, safe=_ATTRIBUTE_CHARACTERS)}"
    return header


def file_name(name: str) -> str:
    """`name` as a name that any file system takes: one part of a path, visible characters, at most
    255 bytes. The extension stays."""
    last = re.split(r"[/\\]", name)[-1]
    visible = "".join("_" if is_invisible(char) else char for char in last)
    visible = visible.strip().rstrip(".")
    if not visible:
        return "artifact"
    if _RESERVED.match(visible):
        visible = f"_{visible}"
    stem, extension = _split(visible)
    room = MAX_BYTES - len(extension.encode())
    return stem.encode()[:room].decode(errors="ignore") + extension


def _ascii(name: str, key: str) -> str:
    """`name` in plain ASCII: without its accents, with `_` for what has no other likeness."""
    real = _split(name)
    stem, extension = (_without_accents(part) for part in real)
    plain = _NOT_PLAIN.sub("_", stem)
    if plain != stem:
        plain = plain.strip("_ ")
    if plain != real[0] and not plain.strip("._ "):
        plain = f"artifact-{key[:8]}"
    extension = _NOT_PLAIN.sub("", extension)
    return file_name(f"{plain}{extension if len(extension) > 1 else ''}")


def _split(name: str) -> tuple[str, str]:
    """Stem and extension, with its dot; `.tar.gz` is one."""
    stem, dot, end = name.rpartition(".")
    if not stem or len(end) > MAX_EXTENSION:
        return name, ""
    if stem.endswith(".tar") and len(stem) > 4:
        return stem[:-4], f".tar.{end}"
    return stem, dot + end


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    return "".join(char for char in apart if not unicodedata.combining(char))
