"""Signed codes, pure: bytes and keys in, claims or a refusal out."""

# From the bottom up: ``base45``, ``cbor`` and ``fields`` read; ``algorithm`` and ``keys`` verify; ``cose`` is the
# generic COSE_Sign1, and what stands on it is the strict profile. ``signed_document`` opens what the platform signs,
# each ``purpose`` with its own key; ``roots`` sign the ``trust_list``, which names the keys that sign the
# ``status_list``, the other documents and tokens. ``verification.open_token`` opens a token, ``dynamic_code`` its tail
# against screenshots, ``issuing`` makes one.
