"""Every message of the protocol, at its largest legal content, is a message and is read."""

import pytest

from sync.protocol.channels import messages
from sync.wire.limits import MOST_MESSAGE_BYTES
from tests.support.largest_json import UnboundedError, largest
from tests.support.largest_messages import DOCUMENTS, FILLED, READERS, largest_messages

LARGEST = list(largest_messages())


def test_every_message_of_the_protocol_has_a_largest_content():
    names = {message.name for message in messages()}
    assert {message.name for message in LARGEST} == names
    assert names == READERS.keys()
    assert FILLED.keys() | DOCUMENTS.keys() <= names


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: message.name)
def test_the_largest_content_is_a_message_that_its_reader_accepts(message):
    assert len(message.payload) <= MOST_MESSAGE_BYTES
    assert message.is_accepted()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "string", "pattern": "^[a-z]+$"},
        {"type": "array", "items": {"type": "null"}},
        {"type": "object"},
        {"type": "integer"},
    ],
    ids=str,
)
def test_a_schema_without_a_bound_has_no_largest_content(schema):
    with pytest.raises(UnboundedError):
        largest(schema, {}, "x")
