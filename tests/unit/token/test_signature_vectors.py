"""Wycheproof and speccheck: what a signature of each algorithm is, at its edges."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.token.algorithm import Algorithm, checker
from edge.token.keys import UnfitKeyError, from_cose_key
from tests.support.shared_data import shared_json


def wycheproof(name):
    for group in shared_json("vectors", "wycheproof", "testvectors_v1", name)["testGroups"]:
        for test in group["tests"]:
            yield group["publicKey"], test


def disagreements(name, key_of, algorithm):
    """Return the cases whose signature check differs from the vectors, and the number of cases."""
    total, wrong = 0, []
    for public, test in wycheproof(name):
        holds = checker(algorithm, key_of(public))(
            bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
        )
        total += 1
        if holds != (test["result"] == "valid"):
            wrong.append((test["tcId"], test["comment"]))
    return total, wrong


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.EDDSA])
def test_every_wycheproof_ed25519_signature_holds_or_fails_as_it_says(algorithm):
    def key_of(public):
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public["pk"]))

    assert disagreements("ed25519_test.json", key_of, algorithm) == (151, [])


@pytest.mark.parametrize("algorithm", [Algorithm.ESP256, Algorithm.ES256])
def test_every_wycheproof_p256_signature_in_coses_form_holds_or_fails_as_it_says(algorithm):
    def key_of(public):
        return ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), bytes.fromhex(public["uncompressed"])
        )

    assert disagreements("ecdsa_secp256r1_sha256_p1363_test.json", key_of, algorithm) == (262, [])


def test_every_wycheproof_key_is_fit_for_a_trust_list():
    for public, _ in wycheproof("ed25519_test.json"):
        assert from_cose_key({1: 1, -1: 6, -2: bytes.fromhex(public["pk"])})
    for public, _ in wycheproof("ecdsa_secp256r1_sha256_p1363_test.json"):
        point = bytes.fromhex(public["uncompressed"])
        assert from_cose_key({1: 2, -1: 1, -2: point[1:33], -3: point[33:]})


# ed25519-speccheck says neither pass nor fail: this pins what the library does, so that an upgrade
# that changes it is seen. "Taming the many EdDSAs" (Chalkias et al., 2020), table 6, describes the
# twelve cases.
SPECCHECK_HOLDS = {0, 1, 2, 3, 11}
SPECCHECK_KEY_FIT = {2, 3, 4, 5, 6, 7, 8, 9}


def speccheck():
    for number, case in enumerate(shared_json("vectors", "ed25519-speccheck", "cases.json")):
        yield number, {name: bytes.fromhex(text) for name, text in case.items()}


def test_the_library_holds_the_speccheck_signatures_that_it_always_held():
    held = set()
    for number, case in speccheck():
        try:
            check = checker(Algorithm.ED25519, Ed25519PublicKey.from_public_bytes(case["pub_key"]))
        except ValueError:
            continue
        if check(case["signature"], case["message"]):
            held.add(number)
    assert held == SPECCHECK_HOLDS


def test_speccheck_keys_of_small_order_or_second_encoding_are_refused():
    fit = set()
    for number, case in speccheck():
        try:
            from_cose_key({1: 1, -1: 6, -2: case["pub_key"]})
        except UnfitKeyError:
            continue
        fit.add(number)
    assert fit == SPECCHECK_KEY_FIT
