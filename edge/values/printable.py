"""Text from elsewhere, as it may be shown: no character of it controls what shows it. Pure.

A device, a code or a message of another program may hold an escape sequence that moves the cursor
or clears a line, a line break that forges a line of a log, or an override that turns the direction
of the text. Such characters are shown by their number. They are kept in what is stored.
"""

from __future__ import annotations

import json
import re
from typing import Final

# The control characters (C0, DEL, C1), those of direction (Unicode's Bidi_Control), the separators
# of lines and paragraphs, and halves of surrogate pairs, which no output can encode.
_CONTROLS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return ``text`` for a person, on one line.

    >>> printable("kiosk\x1b[2K\u202e7")
    'kiosk\\x1b[2K\\u202e7'
    """
    return _CONTROLS.sub(_numbered, text)


def json_line(item: object) -> str:
    r"""Return ``item`` as one line of JSON; a reader gets each character back.

    >>> print(json_line({"name": "kiosk\x9b\u202e7"}))
    {"name": "kiosk\u009b\u202e7"}
    """
    return json_escaped(json.dumps(item, ensure_ascii=False))


def json_escaped(encoded: str) -> str:
    """Return JSON on one line with such characters escaped. A reader gets each one back."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", encoded)


def _numbered(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
