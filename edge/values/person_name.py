"""Compare the names of persons. Pure.

A name comes from a badge, a key or a keyboard, and people write it in more than one way.
"""

from __future__ import annotations

import unicodedata


def same_person(one: str | None, other: str | None) -> bool:
    r"""Return whether both names are the same person's.

    Case, outer blanks and the Unicode form of the characters make no difference.

    >>> same_person("Jose\u0301 ", "jos\u00e9"), same_person("ann", "anna")
    (True, False)
    """
    return one is not None and other is not None and normalised(one) == normalised(other)


def name_fault(name: str) -> str | None:
    """Return why ``name`` cannot be given to a person, or None if it can.

    >>> name_fault("ann "), name_fault("ann")
    ('the name begins or ends with a blank', None)
    """
    if name != name.strip():
        return "the name begins or ends with a blank"
    if not unicodedata.is_normalized("NFC", name):
        return (
            "a letter of the name is written as several characters:"
            " type it again (Unicode normalisation form NFC)"
        )
    return None


def normalised(name: str) -> str:
    """Return the form in which names are compared (Unicode NFKC, case folded)."""
    folded = unicodedata.normalize("NFKC", name).strip().casefold()
    return unicodedata.normalize("NFKC", folded)
