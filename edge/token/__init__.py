"""Signed codes, pure: bytes and keys in, claims or a refusal out."""

# From the bottom up: ``base45``, ``cbor`` and ``fields`` parse; ``algorithm`` and ``keys`` verify;
# ``cose`` is the generic COSE_Sign1, and the modules above it are the strict profile.
# ``signed_document`` opens documents, each ``purpose`` with its own key. ``roots`` sign the
# ``trust_list``, which names the keys of the ``status_list``, the other documents and tokens.
# ``verification`` opens a token, ``dynamic_code`` checks its tail, ``issuing`` makes one.
