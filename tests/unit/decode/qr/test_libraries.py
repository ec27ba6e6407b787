"""The two libraries return the bytes as encoded, and never read Micro QR."""

import pytest

from edge.decode.ladder import Ladder
from edge.decode.qr import zbar, zxing
from edge.decode.rungs import DEEP
from tests.support.drawn_codes import drawn, matrix

needs_zbar = pytest.mark.skipif(zbar.absence() is not None, reason="libzbar0 is not installed")
PAYLOADS = [bytes(range(256)), "Größe".encode(), "取件码".encode(), b"\xff\xfe\x00", b"PLAIN 123"]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("read", [zxing.read, pytest.param(zbar.read, marks=needs_zbar)])
def test_the_payload_is_read_byte_for_byte(read, payload):
    grey, _ = drawn(payload, px=3, frame=(360, 480), at=(40, 40), mode="byte")
    assert [symbol.content for symbol in read(grey)] == [payload]


def test_a_missing_libzbar_is_reported_and_not_fatal(monkeypatch):
    def missing():
        raise ImportError("Unable to find zbar shared library")

    monkeypatch.setattr(zbar, "_wrapper", missing)
    zbar.absence.cache_clear()
    try:
        assert "install the system package libzbar0" in zbar.absence()
        assert zbar.read(drawn("HELLO")[0]) == ()
    finally:
        zbar.absence.cache_clear()


@pytest.mark.parametrize("content", ["1", "12345", "AB12", "HELLO"])
def test_micro_qr_is_never_read(content):
    import segno

    code = segno.make_micro(content)
    assert code.is_micro
    assert matrix(content)[1].is_micro is False
    import numpy as np

    modules = np.array([list(row) for row in code.matrix], np.uint8)
    ink = np.kron(np.where(np.pad(modules, 4), 20, 220).astype(np.uint8), np.ones((8, 8), np.uint8))
    assert Ladder(DEEP).decode(ink) == ()


def test_a_text_in_another_character_set_is_read_correctly():
    grey, _ = drawn("点茗", encoding="shift_jis")
    (symbol,) = zxing.read(grey)
    assert symbol.text == "点茗"
