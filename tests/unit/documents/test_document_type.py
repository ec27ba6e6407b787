"""What a description of a document promises: it reads what it writes, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.documents.document_type import DocumentType, integer, octets, text, texts
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.signed_document import DocumentFault, DocumentRefusal
from edge.values.instant import Instant

NOW = Instant(unix_s=1_800_000_000)
KEY = signer(Ed25519PrivateKey.from_private_bytes(b"root".ljust(32, b".")))
KEYS = Roots(version=1, keys=(KEY.public,))


@dataclass(frozen=True, kw_only=True)
class _Note:
    name: str
    size: int
    mark: bytes = b"abc"
    tags: tuple[str, ...] = ()


def _at_most_9(note: _Note) -> None:
    if note.size > 9:
        raise ValueError("too large")


NOTE = DocumentType(
    name="note",
    purpose=Purpose.ROOT,
    kind=4,
    content=_Note,
    fields=(
        text(2, "name"),
        integer(3, "size", 0, 100),
        octets(4, "mark", length=3),
        texts(5, "tags", optional=True),
    ),
    rule=_at_most_9,
)


@pytest.mark.parametrize("tags", [(), ("a", "b")])
def test_a_document_is_read_as_it_was_signed(tags):
    note = _Note(name="n", size=3, tags=tags)
    opened = NOTE.open_with_key(NOTE.sign(note, KEY), KEYS, now=NOW)
    assert opened == (note, KEYS.find(KEY.public.kid))
    assert NOTE.read_unverified(NOTE.sign(note, KEY)) == note


def test_an_empty_optional_field_is_left_out():
    assert NOTE.write(_Note(name="n", size=3)) == {1: 4, 2: "n", 3: 3, 4: b"abc"}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        pytest.param({1: 5}, "not a document of the type note", id="another kind"),
        pytest.param({1: None}, "kind", id="a kind that is no number"),
        pytest.param({9: 1}, "unknown keys: 9", id="a label that is not described"),
        pytest.param({2: ""}, "name is empty", id="an empty text"),
        pytest.param({3: 100}, "size is outside 0..99", id="beyond a range"),
        pytest.param({3: True}, "size is not an integer", id="a boolean for an integer"),
        pytest.param({3: 10}, "too large", id="against the rule"),
        pytest.param({4: b"ab"}, "mark is not 3 bytes", id="too few bytes"),
        pytest.param({5: [1]}, "tags is not a text", id="an array of something else"),
    ],
)
def test_a_map_that_is_not_as_described_is_refused_and_the_field_is_named(change, detail):
    refusal = NOTE.read({1: 4, 2: "n", 3: 3, 4: b"abc", **change})
    assert isinstance(refusal, DocumentRefusal)
    assert refusal.fault is DocumentFault.CONTENT
    assert detail in refusal.detail


@pytest.mark.parametrize("label", [1, 2, 3, 4])
def test_a_field_that_is_missing_is_named(label):
    payload = {1: 4, 2: "n", 3: 3, 4: b"abc"}
    del payload[label]
    assert "is missing" in NOTE.read(payload).detail


def test_a_document_that_is_no_message_is_malformed():
    assert NOTE.read_unverified(b"\xff").fault is DocumentFault.MALFORMED


def test_a_description_names_every_field_of_its_content():
    with pytest.raises(AssertionError):
        DocumentType(name="half", purpose=Purpose.ROOT, content=_Note, fields=(text(2, "name"),))
