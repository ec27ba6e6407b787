import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.token import cbor
from edge.token.keys import UnfitKeyError, from_cose_key, public_key, signer, to_cose_key
from tests.support.token_factory import ISSUER, ISSUER_P256

FIELD = 2**255 - 19
X = ISSUER.public.cose_key[-32:]
ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
IDENTITY = (1).to_bytes(32, "little")


def refusal(parameters) -> str:
    with pytest.raises(UnfitKeyError) as refused:
        from_cose_key(parameters)
    return str(refused.value)


@pytest.mark.parametrize("key", [ISSUER, ISSUER_P256], ids=["Ed25519", "P-256"])
def test_a_key_comes_back_from_its_cose_key_and_verifies_its_signature(key):
    read = from_cose_key(cbor.decode(key.public.cose_key, cbor.TOKEN_LIMITS))
    assert read == key.public
    signature = key.sign(b"message")
    assert len(signature) == 64
    assert read.verifies(signature, b"message")
    assert not read.verifies(signature, b"another message")
    assert not read.verifies(signature[:-1], b"message")
    assert not read.verifies(signature + b"\x00", b"message")


def test_the_kid_is_the_start_of_the_thumbprint_of_rfc_9679():
    # The example of RFC 9679 section 6.
    x = bytes.fromhex("65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d")
    y = bytes.fromhex("1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c")
    key = from_cose_key({1: 2, -1: 1, -2: x, -3: y})
    thumbprint = "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"
    assert hashlib.sha256(key.cose_key).hexdigest() == thumbprint
    assert key.kid.hex() == thumbprint[:8]


def test_the_identity_key_would_verify_anything_and_is_refused():
    forged = IDENTITY + bytes(32)  # R is the identity, S is 0: the equation holds for every message
    Ed25519PublicKey.from_public_bytes(IDENTITY).verify(
        forged, b"whatever the attacker likes"
    )  # no error
    assert "small order" in refusal({1: 1, -1: 6, -2: IDENTITY})


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize(
    "y",
    [0, 1, FIELD - 1, int.from_bytes(ORDER_8, "little"), FIELD - int.from_bytes(ORDER_8, "little")],
    ids=["order 4", "identity", "order 2", "order 8", "order 8, negated"],
)
def test_every_small_order_key_is_refused(y, sign_bit):
    encoded = bytearray(y.to_bytes(32, "little"))
    encoded[31] |= sign_bit
    assert "small order" in refusal({1: 1, -1: 6, -2: bytes(encoded)})


@pytest.mark.parametrize("y", [FIELD, FIELD + 1, 2**255 - 1])
def test_a_second_encoding_of_a_key_is_refused(y):
    assert "one encoding" in refusal({1: 1, -1: 6, -2: y.to_bytes(32, "little")})


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        [],
        {},
        {1: 1, -1: 6},
        {1: 1, -1: 6, -2: X[:-1]},
        {1: 1, -1: 6, -2: X + b"\x00"},
        {1: 1, -1: 6, -2: "x" * 32},
        {1: True, -1: 6, -2: X},  # True == 1 in Python
        {1: 1, -1: 7, -2: X},
        {1: 4, -1: b"a symmetric key"},
        {1: 1, 3: -19, -1: 6, -2: X},  # alg stands in the entry, once
        {1: 1, -1: 6, -2: X, -4: bytes(32)},  # a private key
        {1: 2, -1: 1, -2: bytes(32), -3: bytes(32)},  # not a point
        {1: 2, -1: 1, -2: bytes(31), -3: bytes(32)},
        {1: 2, -1: 2, -2: bytes(48), -3: bytes(48)},
        {1: 2, -1: 1, -2: bytes(32), -3: True},
    ],
    ids=lambda value: ascii(value).replace("\\", ""),  # an id that pytest takes as an argument
)
def test_a_cose_key_is_exactly_one_of_two_forms(parameters):
    refusal(parameters)


@pytest.mark.parametrize(
    "raw", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048), b"key"]
)
def test_other_kinds_of_key_cannot_sign_here(raw):
    with pytest.raises(UnfitKeyError):
        signer(raw)
    with pytest.raises(UnfitKeyError):
        public_key(raw.public_key() if hasattr(raw, "public_key") else raw)


def test_signing_needs_no_randomness():
    for key in (ISSUER, ISSUER_P256):
        assert key.sign(b"message") == key.sign(b"message")


def test_a_key_writes_what_it_read():
    parameters = {1: 1, -1: 6, -2: X}
    assert to_cose_key(from_cose_key(parameters)) == parameters
