"""Signed codes: bytes and keys in, claims or a refusal out. Pure.

From the bottom up: ``base45``, ``cbor`` and ``fields`` read; ``algorithm`` and ``keys`` verify;
``cose`` is the generic COSE_Sign1, and what stands on it is the strict profile. ``document``
opens what the platform signs, each ``purpose`` with its own key; ``roots`` sign the ``trust``
list, which names the keys that sign ``status`` lists, the other documents and tokens.
``verify.open_token`` opens a token, ``dynamic`` its tail against screenshots, ``issue`` makes one.
"""
