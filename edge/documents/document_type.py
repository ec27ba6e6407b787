"""The form of a type of signed document: its purpose, its labelled CBOR fields and its rule. Pure.

A document is a CBOR map with integer labels. One description both writes and reads it, so that the
two cannot differ. A map with a label that the description does not name is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final, Generic, TypeVar

from edge.token import cbor, cose, fields
from edge.token.cbor import Item
from edge.token.keys import Signer
from edge.token.purpose import Purpose
from edge.token.rejection import InputRefused
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    Keyring,
    open_document,
    sign_document,
)
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant

KIND_LABEL: Final = 1
_KIND_END: Final = 256
T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
CborMap = dict[Item, Item]


@dataclass(frozen=True, slots=True)
class DocumentField:
    """A labelled field, the attribute that holds its value, and how the value is read and written.

    ``read`` raises InputRefused or ValueError. An optional field is left out where its value is
    empty, and the attribute then has its default.
    """

    label: int
    name: str
    read: Callable[[CborMap, int, str], Any]
    write: Callable[[Any], Item] = lambda value: value
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType(Generic[T]):
    """A type of signed document whose content is a ``T``, a dataclass.

    ``kind`` tells documents of one purpose apart; it stands at label 1. ``rule`` raises ValueError
    for a content whose fields contradict each other.
    """

    name: str
    purpose: Purpose
    content: Callable[..., T]
    fields: tuple[DocumentField, ...]
    kind: int | None = None
    rule: Callable[[T], None] = lambda _: None

    def __post_init__(self) -> None:
        described = {field.name for field in self.fields}
        assert described == {field.name for field in dataclasses.fields(self.content)}  # type: ignore[arg-type]  # T is a dataclass, which no bound can say

    def sign(self, content: T, signer: Signer) -> bytes:
        """Return ``content`` as a signed document."""
        return sign_document(self.write(content), self.purpose, signer)

    def open(self, data: bytes, keys: Keyring, *, now: Instant) -> T | DocumentRefusal:
        """Return the content of ``data`` once its signature by a key of ``keys`` holds now."""
        opened = self.open_with_key(data, keys, now=now)
        return opened if isinstance(opened, DocumentRefusal) else opened[0]

    def open_with_key(
        self, data: bytes, keys: Keyring, *, now: Instant
    ) -> tuple[T, TrustedKey] | DocumentRefusal:
        """Return the content of ``data``, as ``open`` does, and the key that signed it."""
        document = open_document(data, self.purpose, keys, now=now)
        if isinstance(document, DocumentRefusal):
            return document
        content = self.read(document.payload)
        return content if isinstance(content, DocumentRefusal) else (content, document.key)

    def read_unverified(self, data: bytes) -> T | DocumentRefusal:
        """Return the content of ``data``, of which **no signature is verified**."""
        try:
            payload = cose.parse(data, cose.STRICT).payload or b""
            return self.read(cbor.decode(payload, cbor.DOCUMENT_LIMITS))
        except InputRefused as refused:
            return DocumentRefusal(DocumentFault.MALFORMED, str(refused))

    def write(self, content: T) -> Item:
        """Return ``content`` as the CBOR map to sign."""
        payload: CborMap = {} if self.kind is None else {KIND_LABEL: self.kind}
        for field in self.fields:
            value = getattr(content, field.name)
            if value or not field.optional:
                payload[field.label] = field.write(value)
        return payload

    def read(self, payload: Item) -> T | DocumentRefusal:
        """Return the content of a map, all of it or nothing."""
        try:
            content = self._content(fields.mapping(payload, self.name, self._labels))
            self.rule(content)
        except (InputRefused, ValueError, RecursionError) as wrong:
            return DocumentRefusal(DocumentFault.CONTENT, str(wrong))
        return content

    def _content(self, signed: CborMap) -> T:
        if self.kind is not None and (
            fields.integer(signed, KIND_LABEL, "kind", 0, _KIND_END) != self.kind
        ):
            raise ValueError(f"not a document of the type {self.name}")
        return self.content(
            **{
                field.name: field.read(signed, field.label, field.name)
                for field in self.fields
                if not field.optional or field.label in signed
            }
        )

    @property
    def _labels(self) -> frozenset[int]:
        kind = set() if self.kind is None else {KIND_LABEL}
        return frozenset(kind | {field.label for field in self.fields})


def text(label: int, name: str, *, optional: bool = False) -> DocumentField:
    """Return a field of printable text that is not empty."""
    return DocumentField(label, name, fields.text, optional=optional)


def free_text(label: int, name: str, *, longest: int) -> DocumentField:
    """Return a field of any text of at most ``longest`` characters, without U+0000."""

    def read(signed: CborMap, label: int, name: str) -> str:
        value = fields.required(signed, label, name)
        if type(value) is not str or len(value) > longest or "\0" in value:
            raise ValueError(f"{name} is not a text of at most {longest} characters")
        return value

    return DocumentField(label, name, read)


def texts(label: int, name: str, *, optional: bool = False) -> DocumentField:
    """Return a field of an array of texts, held as a tuple."""

    def read(signed: CborMap, label: int, name: str) -> tuple[str, ...]:
        items = fields.array(signed, label, name)
        return tuple(fields.text({0: item}, 0, name) for item in items)

    return DocumentField(label, name, read, list, optional)


def integer(label: int, name: str, least: int, end: int) -> DocumentField:
    """Return a field of an integer with ``least <= value < end``."""
    return DocumentField(label, name, partial(_integer, least=least, end=end))


def _integer(signed: CborMap, label: int, name: str, *, least: int, end: int) -> int:
    return fields.integer(signed, label, name, least, end)


def time(label: int, name: str) -> DocumentField:
    """Return a field of a time in Unix seconds."""
    return integer(label, name, 0, fields.TIME_END)


def boolean(label: int, name: str) -> DocumentField:
    """Return a field of true or false."""
    return DocumentField(label, name, fields.boolean)


def octets(label: int, name: str, *, length: int | None = None) -> DocumentField:
    """Return a field of ``length`` bytes; None: of any number of bytes."""
    return DocumentField(label, name, partial(fields.octets, length=length))


def member(label: int, name: str, of: type[E]) -> DocumentField:
    """Return a field of a text that is a member of the enum ``of``."""

    def read(signed: CborMap, label: int, name: str) -> E:
        return of(fields.text(signed, label, name))

    return DocumentField(label, name, read, str)
