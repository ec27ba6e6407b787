import shutil
import tempfile
from pathlib import Path

import pytest

from sync.protocol.channels import Form
from sync.protocol.examples import shown
from sync.wire import codec
from tests.support.protocol_schemas import validator


@pytest.fixture(scope="session", autouse=True)
def _every_message_is_as_published():
    """Check each message that these tests write against docs/protocol/asyncapi.json."""
    encode, encode_batch = codec.encode, codec.encode_batch

    def held(payload: bytes, name: str) -> bytes:
        assert not [
            error.message
            for error in validator(f"schemas/{name}").iter_errors(shown(payload, Form.JSON))
        ]
        return payload

    codec.encode = lambda message: held(encode(message), type(message).__name__)
    codec.encode_batch = lambda *given, **also: held(encode_batch(*given, **also), "EventBatch")
    yield
    codec.encode, codec.encode_batch = encode, encode_batch


@pytest.fixture(scope="session")
def memory_folder():
    """Make empty folders, in memory where possible: these tests are not about the disk."""
    shared = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    yield lambda: Path(tempfile.mkdtemp(dir=root))
    shutil.rmtree(root)
