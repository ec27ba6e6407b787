"""Whether two names are one person's. Pure.

A name comes from a badge, from a key or from a keyboard; people write it in more than one way.
"""

from __future__ import annotations

import unicodedata


def same_person(one: str | None, other: str | None) -> bool:
    """Whether these are one person's name: case, outer blanks and the form of the characters make no difference.

    >>> same_person("Jose\\u0301 ", "jos\\u00e9"), same_person("ann", "anna"), same_person(None, None)
    (True, False, False)
    """
    return one is not None and other is not None and normalised(one) == normalised(other)


def name_fault(name: str) -> str | None:
    """Why ``name`` is no name to give to somebody; None for one that is.

    >>> name_fault("ann "), name_fault("ann")
    ('the name begins or ends with a blank', None)
    """
    if name != name.strip():
        return "the name begins or ends with a blank"
    if not unicodedata.is_normalized("NFC", name):
        return "a letter of the name is written as several characters: type it again (Unicode's form NFC)"
    return None


def normalised(name: str) -> str:
    """The form of a name to compare people by."""
    folded = unicodedata.normalize("NFKC", name).strip().casefold()
    return unicodedata.normalize("NFKC", folded)
