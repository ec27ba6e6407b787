"""Base45 (RFC 9285), strict: bytes in, bytes out.

Three characters carry two bytes: c + 45 d + 45**2 e = 256 a + b. Decoding does that sum
for the whole text at once: each digit gets a lane of four bytes in one large integer, so
two multiplications serve every triple, and an overflow shows in its lane's upper half.
"""

from __future__ import annotations

ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_MASK_LANES = 171  # a text of 512 characters
_MASK = int.from_bytes(b"\x00\x00\x00\xff" * _MASK_LANES, "big")
_DIGITS = bytes(max(ALPHABET.find(character), 0) for character in range(256))


class Base45Error(ValueError):
    """The text is not Base45."""


def encode(data: bytes) -> bytes:
    """Return ``data`` as Base45 text.

    >>> encode(b"Hello!!")
    b'%69 VD92EX0'
    """
    text = bytearray()
    for at in range(0, len(data) - 1, 2):
        rest, c = divmod(data[at] << 8 | data[at + 1], 45)
        e, d = divmod(rest, 45)
        text += bytes((ALPHABET[c], ALPHABET[d], ALPHABET[e]))
    if len(data) % 2:
        d, c = divmod(data[-1], 45)
        text += bytes((ALPHABET[c], ALPHABET[d]))
    return bytes(text)


def decode(text: bytes) -> bytes:
    """Return the bytes of Base45 ``text``.

    Raises Base45Error for a character outside the alphabet (a trailing newline too), a
    length that leaves one character over, or a group above its range.

    >>> decode(b"QED8WEX0")
    b'ietf!'
    """
    if text.translate(None, ALPHABET):
        raise Base45Error("a character is not of the Base45 alphabet")
    triples, over = divmod(len(text), 3)
    if over == 1:
        raise Base45Error("one character is left over")
    digits = text.translate(_DIGITS)
    whole = _decode_triples(digits[: 3 * triples], triples)
    if not over:
        return whole
    last = digits[-2] + 45 * digits[-1]
    if last > 0xFF:
        raise Base45Error("the last pair is above 255")
    return whole + bytes((last,))


def _decode_triples(digits: bytes, triples: int) -> bytes:
    lanes = bytearray(4 * triples)
    lanes[1::4], lanes[2::4], lanes[3::4] = digits[2::3], digits[1::3], digits[0::3]  # e, d, c
    packed = int.from_bytes(lanes, "big")
    low = _low_bytes(triples)
    sums = (
        (packed & low) + 45 * (packed >> 8 & low) + 2025 * (packed >> 16 & low)
    )  # 91124 at most: no lane spills over
    summed = sums.to_bytes(4 * triples, "big")
    if summed[1::4].strip(b"\x00"):
        raise Base45Error("a group of three is above 65535")
    data = bytearray(2 * triples)
    data[0::2], data[1::2] = summed[2::4], summed[3::4]
    return bytes(data)


def _low_bytes(lanes: int) -> int:
    """Return the mask of the lowest byte of each lane; a longer mask works as well."""
    return _MASK if lanes <= _MASK_LANES else int.from_bytes(b"\x00\x00\x00\xff" * lanes, "big")
