"""Keyboard layouts, compared with xkeyboard-config where it is installed."""

import re
from pathlib import Path

import pytest

from edge.capture.keymap import Keyboard, characters

LAYOUTS = ("us", "gb", "de", "fr")
BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
ENTER, SHIFT, ALT_GR, CTRL = 28, 42, 100, 29


def type_text(text, layout):
    """Yield the key events of an engine: (code, down) pairs."""
    keys = {char: place for place, char in reversed(characters(layout).items())}
    for char in text:
        code, level = keys[char]
        held = {"": [], "shift": [SHIFT], "alt_gr": [ALT_GR]}[level]
        yield from ((key, True) for key in (*held, code))
        yield from ((key, False) for key in (code, *held))


def typed_by(keyboard, events):
    text = ""
    for code, down in events:
        if down:
            text += keyboard.press(code)
        else:
            keyboard.release(code)
    return text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_character_of_a_token_can_be_typed(layout):
    text = BASE45 + "https://example.org/?a=1&b=2#x_y@z~"
    assert typed_by(Keyboard(layout), type_text(text, layout)) == text


def test_an_engine_set_to_another_country_types_another_text():
    typed = typed_by(Keyboard("us"), type_text("ES1:Y+Z/", "de"))
    assert typed != "ES1:Y+Z/"


def test_enter_ends_a_code_also_on_the_keypad_and_keypad_digits_are_digits():
    keyboard = Keyboard("us")
    assert [keyboard.press(code) for code in (79, 80, 81, 96, 28)] == ["1", "2", "3", "\n", "\n"]


def test_a_key_with_ctrl_held_types_no_character():
    keyboard = Keyboard("us")
    keyboard.press(CTRL)
    assert keyboard.press(30) == ""
    keyboard.release(CTRL)
    assert keyboard.press(30) == "a"


def test_a_key_whose_release_was_missed_counts_as_released():
    keyboard = Keyboard("us")
    keyboard.press(SHIFT)
    keyboard.resynchronise({30})
    assert keyboard.press(30) == "a"


SYMBOLS = Path("/usr/share/X11/xkb/symbols")
ROWS = {"E": range(2, 14), "D": range(16, 28), "C": range(30, 41), "B": range(44, 54)}
PLACES = {
    f"A{row}{number:02}": code
    for row, codes in ROWS.items()
    for number, code in enumerate(codes, 1)
}
PLACES |= {"TLDE": 41, "BKSL": 43, "LSGT": 86}
NAMES = {
    "exclam": "!",
    "at": "@",
    "numbersign": "#",
    "dollar": "$",
    "percent": "%",
    "asciicircum": "^",
    "ampersand": "&",
    "asterisk": "*",
    "parenleft": "(",
    "parenright": ")",
    "minus": "-",
    "underscore": "_",
    "equal": "=",
    "plus": "+",
    "bracketleft": "[",
    "braceleft": "{",
    "bracketright": "]",
    "braceright": "}",
    "semicolon": ";",
    "colon": ":",
    "apostrophe": "'",
    "quotedbl": '"',
    "grave": "`",
    "asciitilde": "~",
    "backslash": "\\",
    "bar": "|",
    "comma": ",",
    "less": "<",
    "period": ".",
    "greater": ">",
    "slash": "/",
    "question": "?",
    "sterling": "£",
    "notsign": "¬",
    "section": "§",
    "ssharp": "ß",
    "udiaeresis": "ü",
    "Udiaeresis": "Ü",
    "odiaeresis": "ö",
    "Odiaeresis": "Ö",
    "adiaeresis": "ä",
    "Adiaeresis": "Ä",
    "degree": "°",
    "eacute": "é",
    "egrave": "è",
    "ccedilla": "ç",
    "agrave": "à",
    "ugrave": "ù",
    "mu": "µ",
    "twosuperior": "²",
    "dead_circumflex": "^",
    "dead_diaeresis": "¨",
    "dead_acute": "´",
    "dead_grave": "`",
}


def xkb(name):
    """Return the two lower levels of a layout: (key code, "" or "shift") to a character."""
    file, _, section = name.partition("(")
    text = (SYMBOLS / file).read_text(encoding="utf-8")
    body = re.search(
        rf'xkb_symbols "{section.rstrip(")") or "basic"}"\s*\{{(.*?)^\}};',
        text,
        re.DOTALL | re.MULTILINE,
    )
    found = {}
    for line in body[1].split(";"):
        if include := re.search(r'include "((?:latin|us)[^"]*)"', line):
            found |= xkb(include[1])
        key = re.search(r"key\s*<(\w+)>.*?\[\s*(\w+)\s*,\s*(\w+)[^]]*\]", line, re.DOTALL)
        if key and key[1] in PLACES:
            for level, symbol in (("", key[2]), ("shift", key[3])):
                found[PLACES[key[1]], level] = NAMES.get(symbol, symbol)
    return found


@pytest.mark.skipif(
    not SYMBOLS.is_dir(), reason="xkeyboard-config is not installed (apt install xkb-data)"
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_tables_are_those_of_xkeyboard_config(layout):
    standard, own = xkb(layout), characters(layout)
    assert len(standard) >= 2 * 47
    assert {key: own[key] for key in standard} == standard
