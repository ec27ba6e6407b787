import pytest

from edge.token import cbor, cose
from edge.token.purpose import Purpose
from edge.token.signed_document import (
    DocumentFault,
    DocumentRefusal,
    SignedDocument,
    open_document,
    sign_document,
)
from tests.support.token_factory import (
    FLOOR,
    ISSUER,
    NOW,
    NOW_S,
    ROOT,
    ROOTS,
    ed25519,
    p256,
    trust_list,
    trusted,
)

FEED = ed25519("order feed")
CONFIG = p256("configuration")
ENROL = ed25519("enrolment")
STATUS = ed25519("status list")
SIGNERS = {
    Purpose.TOKEN: ISSUER,
    Purpose.STATUS_LIST: STATUS,
    Purpose.ORDER_FEED: FEED,
    Purpose.CONFIGURATION: CONFIG,
    Purpose.ENROLMENT: ENROL,
}
TRUST = trust_list(*(trusted(key, purpose) for purpose, key in SIGNERS.items()))
DOCUMENTS = [purpose for purpose in SIGNERS if purpose is not Purpose.TOKEN]
PAYLOAD = {"rev": 3, "orders": [{1: b"\x00" * 16, "until": None}, True]}


def fault(data, purpose=Purpose.ORDER_FEED, keys=TRUST, now=NOW) -> DocumentFault:
    refused = open_document(data, purpose, keys, now=now)
    assert isinstance(refused, DocumentRefusal), refused
    return refused.fault


@pytest.mark.parametrize("purpose", DOCUMENTS)
def test_a_document_opens_for_its_purpose(purpose):
    data = sign_document(PAYLOAD, purpose, SIGNERS[purpose])
    key = TRUST.find(SIGNERS[purpose].public.kid)
    assert open_document(data, purpose, TRUST, now=NOW) == SignedDocument(PAYLOAD, key)


@pytest.mark.parametrize("made_for", list(Purpose))
@pytest.mark.parametrize("used_as", list(Purpose))
def test_a_signature_for_one_purpose_never_holds_for_another(made_for, used_as):
    """Even with a key that may sign both: the domain is under the signature."""
    key = trusted(FEED, Purpose.ORDER_FEED, purposes=frozenset(Purpose))
    opened = open_document(
        sign_document(PAYLOAD, made_for, FEED), used_as, trust_list(key), now=NOW
    )
    if made_for is used_as:
        assert isinstance(opened, SignedDocument)
    else:
        assert opened.fault is DocumentFault.SIGNATURE_INVALID


@pytest.mark.parametrize("purpose", DOCUMENTS)
def test_a_key_signs_only_for_its_own_purpose(purpose):
    for other, key in SIGNERS.items():
        if other is not purpose:
            assert fault(sign_document(PAYLOAD, purpose, key), purpose) is DocumentFault.KEY_PURPOSE


def test_the_domains_are_all_different_and_none_begins_another():
    domains = [purpose.external_aad for purpose in Purpose]
    assert len(set(domains)) == len(domains)


def test_a_stranger_signs_nothing():
    assert (
        fault(sign_document(PAYLOAD, Purpose.ORDER_FEED, ed25519("stranger")))
        is DocumentFault.KEY_UNKNOWN
    )


def test_a_document_outside_its_keys_window_is_refused():
    late = trust_list(trusted(FEED, Purpose.ORDER_FEED, not_before_s=NOW_S + 1))
    over = trust_list(trusted(FEED, Purpose.ORDER_FEED, expires_at_s=NOW_S))
    data = sign_document(PAYLOAD, Purpose.ORDER_FEED, FEED)
    assert fault(data, keys=late) is DocumentFault.KEY_WINDOW
    assert fault(data, keys=over) is DocumentFault.KEY_WINDOW
    assert (
        fault(data, keys=over, now=FLOOR) is DocumentFault.KEY_WINDOW
    )  # a floor proves that it is over
    assert isinstance(
        open_document(data, Purpose.ORDER_FEED, late, now=FLOOR), SignedDocument
    )  # not that it is not yet


def test_every_flipped_bit_of_a_document_is_refused():
    data = sign_document(PAYLOAD, Purpose.ORDER_FEED, FEED)
    for position in range(8 * len(data)):
        mutant = bytearray(data)
        mutant[position // 8] ^= 1 << position % 8
        fault(bytes(mutant))


def test_every_shortened_document_and_every_tail_is_refused():
    data = sign_document(PAYLOAD, Purpose.ORDER_FEED, FEED)
    for length in range(len(data)):
        assert fault(data[:length]) is DocumentFault.MALFORMED
    assert fault(data + b"\x00") is DocumentFault.MALFORMED


def test_the_algorithm_of_a_document_is_its_keys_and_not_the_headers():
    data = sign_document(PAYLOAD, Purpose.ORDER_FEED, FEED)
    old_name = cbor.encode(
        {1: -8, 4: FEED.public.kid}
    )  # EdDSA: the same signatures under a deprecated name
    prefix = cose.signed_prefix(old_name, Purpose.ORDER_FEED.external_aad)
    signature = FEED.sign(cose.signed_bytes(prefix, cbor.encode(PAYLOAD)))
    renamed = b"\xd2\x84" + b"".join(
        map(cbor.encode, (old_name, {}, cbor.encode(PAYLOAD), signature))
    )
    assert isinstance(open_document(data, Purpose.ORDER_FEED, TRUST, now=NOW), SignedDocument)
    assert fault(renamed) is DocumentFault.ALG_MISMATCH


def test_a_signed_payload_that_is_not_deterministic_cbor_is_refused():
    data = cose.sign(
        bytes.fromhex("a202000100"), FEED, external_aad=Purpose.ORDER_FEED.external_aad
    )
    assert fault(data) is DocumentFault.CONTENT


def test_a_root_signs_no_feed():
    data = sign_document(PAYLOAD, Purpose.ORDER_FEED, ROOT)
    assert fault(data, keys=ROOTS) is DocumentFault.KEY_PURPOSE


def test_floats_have_no_place_in_a_document():
    with pytest.raises(TypeError):
        sign_document({"price": 9.99}, Purpose.ORDER_FEED, FEED)
