"""Keyboard layouts: key codes of Linux in, characters out. Pure.

A scan engine that is set to a keyboard country sends the *positions* of that country's keys.
Key codes are those of linux/input-event-codes.h, which number the positions of a US keyboard. The
tables are those of xkeyboard-config (symbols us, gb, de, fr). A dead key is the plain character,
which is what an engine means by it.
"""

from __future__ import annotations

from typing import Final, Literal

Layout = Literal["us", "gb", "de", "fr"]

ENTER: Final = frozenset({28, 96})  # KEY_ENTER, KEY_KPENTER
SHIFT: Final = frozenset({42, 54})
ALT_GR: Final = frozenset({100})
# Ctrl, Alt, Meta: while one of them is held, a key types no character.
COMMANDS: Final = frozenset({29, 97, 56, 125, 126})

# Row by row.
_POSITIONS: Final = (41, *range(2, 14), *range(16, 28), *range(30, 41), 43, 86, *range(44, 54))
_KEYPAD: Final = dict(
    zip(
        (82, 79, 80, 81, 75, 76, 77, 71, 72, 73, 83, 74, 78, 55, 98), "0123456789.-+*/", strict=True
    )
)

# Four rows; at the end of the third the keys beside Enter (43) and beside the left Shift (86).
_PLAIN: Final[dict[Layout, str]] = {
    "us": r"`1234567890-=" r"qwertyuiop[]" r"asdfghjkl;'\\" r"zxcvbnm,./",
    "gb": r"`1234567890-=" r"qwertyuiop[]" "asdfghjkl;'#\\" r"zxcvbnm,./",
    "de": r"^1234567890ß´" r"qwertzuiopü+" r"asdfghjklöä#<" r"yxcvbnm,.-",
    "fr": "²&é\"'(-è_çà)=" r"azertyuiop^$" r"qsdfghjklmù*<" r"wxcvbn,;:!",
}
_SHIFTED: Final[dict[Layout, str]] = {
    "us": r"~!@#$%^&*()_+" r"QWERTYUIOP{}" r'ASDFGHJKL:"||' r"ZXCVBNM<>?",
    "gb": r'¬!"£$%^&*()_+' r"QWERTYUIOP{}" r"ASDFGHJKL:@~|" r"ZXCVBNM<>?",
    "de": r'°!"§$%&/()=?`' r"QWERTZUIOPÜ*" r"ASDFGHJKLÖÄ'>" r"YXCVBNM;:_",
    "fr": r"~1234567890°+" r"AZERTYUIOP¨£" r"QSDFGHJKLM%µ>" r"WXCVBN?./§",
}
_WITH_ALT_GR: Final[dict[Layout, dict[int, str]]] = {
    "us": {},
    "gb": {5: "€"},
    "de": {
        3: "²",
        4: "³",
        8: "{",
        9: "[",
        10: "]",
        11: "}",
        12: "\\",
        16: "@",
        18: "€",
        27: "~",
        50: "µ",
        86: "|",
    },
    "fr": {
        3: "~",
        4: "#",
        5: "{",
        6: "[",
        7: "|",
        8: "`",
        9: "\\",
        10: "^",
        11: "@",
        12: "]",
        13: "}",
        18: "€",
        27: "¤",
    },
}


def characters(layout: Layout) -> dict[tuple[int, str], str]:
    """Return what each key types: (key code, "", "shift" or "alt_gr") to a character."""
    typed = {(code, ""): char for code, char in zip(_POSITIONS, _PLAIN[layout], strict=True)}
    shifted = zip(_POSITIONS, _SHIFTED[layout], strict=True)
    typed |= {(code, "shift"): char for code, char in shifted}
    typed |= {(code, "alt_gr"): char for code, char in _WITH_ALT_GR[layout].items()}
    both = {**_KEYPAD, 57: " "}
    return typed | {(code, level): char for code, char in both.items() for level in ("", "shift")}


class Keyboard:
    """Keyboard state: which modifier keys are held, and so what a key types."""

    def __init__(self, layout: Layout) -> None:
        self._characters = characters(layout)
        self._held: set[int] = set()

    def press(self, code: int) -> str:
        """Return the character that key ``code`` types now: a newline for Enter, "" for none."""
        if code in ENTER:
            return "\n"
        if code in SHIFT | ALT_GR | COMMANDS:
            self._held.add(code)
        if self._held & COMMANDS:
            return ""
        level = "alt_gr" if self._held & ALT_GR else "shift" if self._held & SHIFT else ""
        return self._characters.get((code, level), "")

    def release(self, code: int) -> None:
        """Record that key ``code`` is up again."""
        self._held.discard(code)

    def resynchronise(self, codes: set[int]) -> None:
        """Replace the held keys with ``codes``, after key events were missed."""
        self._held = codes & (SHIFT | ALT_GR | COMMANDS)
