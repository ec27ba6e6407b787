"""A sealed box: encrypt to a public X25519 key, so that only its private key opens it."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

RANDOM_BYTES: Final = 32 + 12  # that one box takes: an ephemeral private key and a nonce
_MAGIC: Final = b"ESR1"


def seal(content: bytes, recovery_key: bytes, *, random: bytes) -> bytes:
    """Encrypt ``content`` to an X25519 key.

    The box is ``ESR1``, the ephemeral key (32 bytes), the nonce (12 bytes), and the text under
    ChaCha20-Poly1305 (RFC 8439) with a key from HKDF-SHA256 (RFC 5869).

    ``random``: ``RANDOM_BYTES`` from the system's generator, fresh for each box.
    """
    ephemeral = X25519PrivateKey.from_private_bytes(random[:32])
    nonce = random[32:RANDOM_BYTES]
    public = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recovery_key))
    cipher = ChaCha20Poly1305(_derived(shared, public, recovery_key))
    return _MAGIC + public + nonce + cipher.encrypt(nonce, content, _MAGIC)


def unseal(sealed: bytes, private: X25519PrivateKey) -> bytes:
    """Return what ``seal`` encrypted. Raise ValueError for another key's box, or a damaged one."""
    if sealed[:4] != _MAGIC or len(sealed) < 4 + 32 + 12 + 16:
        raise ValueError("not a sealed file")
    public, nonce, cipher = sealed[4:36], sealed[36:48], sealed[48:]
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    key = _derived(shared, public, private.public_key().public_bytes_raw())
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, cipher, _MAGIC)
    except Exception as error:  # cryptography's InvalidTag has no useful message
        raise ValueError("sealed to another recovery key, or damaged") from error


def _derived(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    info = b"edge-scanner/1/recovery" + ephemeral + recipient
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(shared)
