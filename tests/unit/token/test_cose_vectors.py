"""The public COSE vectors: the policy-free core reads them, the strict profile refuses them."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from edge.token import cbor, cose
from edge.token.claims import TokenRefusal
from edge.token.rejection import InputRefused
from tests.support import vector_keys
from tests.support.shared_data import shared_data, shared_json
from tests.support.token_factory import ed25519, reason, scan, wrap

WG = [
    *(f"sign1-tests/sign-pass-0{n}" for n in (1, 2, 3)),
    *(f"sign1-tests/sign-fail-0{n}" for n in (1, 2, 3, 4, 6, 7)),
    *(f"ecdsa-examples/ecdsa-sig-0{n}" for n in (1, 2, 3, 4)),
    *(f"eddsa-examples/eddsa-sig-0{n}" for n in (1, 2)),
    "RFC8152/Appendix_C_2_1",
    "CWT/A_3",
]
WG_FAILURES = {
    "sign1-tests/sign-fail-01": "cose_structure",  # tag 998
    "sign1-tests/sign-fail-02": "signature_invalid",
    "sign1-tests/sign-fail-03": "alg_mismatch",  # -999
    "sign1-tests/sign-fail-04": "alg_mismatch",  # "unknown"
    "sign1-tests/sign-fail-06": "signature_invalid",  # a header added
    "sign1-tests/sign-fail-07": "signature_invalid",  # a header taken away
}


def wg_case(name):
    case = shared_json("vectors", "cose-wg-examples", f"{name}.json")
    sign1 = case["input"].get("sign0") or case["input"]["sign"]
    external = bytes.fromhex(sign1.get("external", ""))
    return case, vector_keys.public(sign1["key"]), bytes.fromhex(case["output"]["cbor"]), external


@pytest.mark.parametrize("name", WG)
def test_the_working_groups_examples_hold_or_fail_as_they_say(name):
    case, key, message, external = wg_case(name)
    if name in WG_FAILURES:
        assert case["fail"]
        with pytest.raises(InputRefused) as refused:
            cose.verify(message, key, cose.VECTORS, external_aad=external)
        assert refused.value.reason == WG_FAILURES[name]
    else:
        assert "fail" not in case
        plain = case["input"].get("plaintext")
        expected = (
            bytes.fromhex(case["input"]["plaintext_hex"]) if plain is None else plain.encode()
        )
        assert cose.verify(message, key, cose.VECTORS, external_aad=external) == expected


@pytest.mark.parametrize("name", [name for name in WG if name not in WG_FAILURES])
def test_what_is_signed_is_byte_for_byte_the_working_groups(name):
    case, _, message, external = wg_case(name)
    parts = cose.parse(message, cose.VECTORS)
    protected = parts.protected if cose.protected_headers(parts, cose.VECTORS) else b""
    to_sign = cose.signed_bytes(cose.signed_prefix(protected, external), parts.payload)
    assert to_sign == bytes.fromhex(case["intermediates"]["ToBeSign_hex"])


@pytest.mark.parametrize("name", WG)
def test_the_strict_profile_refuses_the_working_groups_examples(name):
    _, _, message, _ = wg_case(name)
    assert isinstance(scan(wrap(message)), TokenRefusal)


def test_no_example_of_a_sign1_is_left_out():
    folder = shared_data("vectors", "cose-wg-examples")
    found = {
        str(path.relative_to(folder).with_suffix(""))
        for path in folder.rglob("*.json")
        if "sign0"
        in shared_json("vectors", "cose-wg-examples", str(path.relative_to(folder)))["input"]
    }
    assert found <= set(WG)


GLUE = [f"sign1-{act}-000{number}" for act in ("sign", "verify") for number in range(7)]


@pytest.mark.parametrize("name", GLUE)
def test_gluecoses_messages_verify_and_what_is_signed_is_theirs(name):
    case = shared_json("vectors", "gluecose", f"{name}.json")
    key = vector_keys.public(case["key"])
    if verify := case.get("sign1::verify"):
        message, external = (
            bytes.fromhex(verify["taggedCOSESign1"]["cborHex"]),
            bytes.fromhex(verify.get("external", "")),
        )
        assert verify["shouldVerify"]
        assert cose.verify(message, key, cose.VECTORS, external_aad=external)
        return
    sign = case["sign1::sign"]
    message, external = (
        bytes.fromhex(sign["expectedOutput"]["cborHex"]),
        bytes.fromhex(sign.get("external") or ""),
    )
    payload = bytes.fromhex(sign["payload"])
    detached = payload if sign.get("detached") else None
    assert (
        cose.verify(message, key, cose.VECTORS, external_aad=external, detached=detached) == payload
    )
    protected = bytes.fromhex(sign["protectedHeaders"]["cborHex"])
    to_sign = cose.signed_bytes(cose.signed_prefix(protected, external), payload)
    assert to_sign == bytes.fromhex(sign["tbsHex"]["cborHex"])
    if (
        case["alg"] == "EdDSA" and case["key"]["crv"] == "Ed25519"
    ):  # deterministic, so ours must be theirs
        signature = vector_keys.ed25519_private(case["key"]).sign(to_sign)
        assert signature == cose.parse(message, cose.VECTORS).signature


@pytest.mark.parametrize("name", GLUE)
@pytest.mark.parametrize("wrong", ["external_aad", "flipped bit"])
def test_gluecoses_messages_fail_when_anything_signed_is_changed(name, wrong):
    case = shared_json("vectors", "gluecose", f"{name}.json")
    part = case.get("sign1::verify") or case["sign1::sign"]
    encoded = bytes.fromhex((part.get("taggedCOSESign1") or part["expectedOutput"])["cborHex"])
    external = bytes.fromhex(part.get("external") or "")
    detached = bytes.fromhex(part["payload"]) if part.get("detached") else None
    if wrong == "external_aad":
        external += b"\x00"
    else:
        encoded = encoded[:-1] + bytes((encoded[-1] ^ 1,))
    with pytest.raises(InputRefused) as refused:
        cose.verify(
            encoded,
            vector_keys.public(case["key"]),
            cose.VECTORS,
            external_aad=external,
            detached=detached,
        )
    assert refused.value.reason == "signature_invalid"


def test_a_payload_is_in_the_message_or_apart_and_never_both_or_neither():
    key, message = (
        vector_keys.public(wg_case("CWT/A_3")[0]["input"]["sign0"]["key"]),
        wg_case("CWT/A_3")[2],
    )
    with pytest.raises(InputRefused, match="cose_structure"):
        cose.verify(message, key, cose.VECTORS, detached=b"another payload")
    detached = message[:7] + b"\xf6" + message[-66:]
    with pytest.raises(InputRefused, match="cose_structure"):
        cose.verify(detached, key, cose.VECTORS)


@pytest.mark.parametrize("where", ["protected", "unprotected"])
def test_even_the_core_refuses_a_critical_header_that_nobody_understands(where):
    key = ed25519("signer")
    headers = {"protected": {1: -8}, "unprotected": {}}
    headers[where] |= {2: [-70_000], -70_000: 0}
    protected = cbor.encode(headers["protected"])
    signature = key.sign(cose.signed_bytes(cose.signed_prefix(protected, b""), b"payload"))
    message = b"\xd2" + cbor.encode([protected, headers["unprotected"], b"payload", signature])
    with pytest.raises(InputRefused, match="header_set"):
        cose.verify(message, key.public.raw, cose.VECTORS)


def test_a_cwt_of_rfc_8392_gives_its_claims():
    _, key, message, _ = wg_case("CWT/A_3")
    claims = cbor.decode(cose.verify(message, key, cose.VECTORS), cbor.TOKEN_LIMITS)
    assert claims[1] == "coap://as.example.com"
    assert (claims[4], claims[5], claims[6]) == (1444064944, 1443944944, 1443944944)


# --- EU Digital COVID Certificates ---------------------------------------------------------------

DGC = {
    "AT": ("1", "2", "3", "4"),
    "DE": ("1", "2", "3", "4"),
    "common": (*(f"CO{n}" for n in (1, 2, 3, *range(5, 24), 28)), "CBO2", "Z1", "Z2"),
}
DGC_CASES = [
    f"{country}/2DCode/raw/{name}.json" for country, names in DGC.items() for name in names
]
DGC_WRONG = {"CO5", "CO22", "CO23", "CBO2"}  # signature wrong, or the kid that counts names no key


def dgc_case(path):
    case = shared_json("vectors", "dgc-testdata", path)
    certificate = x509.load_der_x509_certificate(base64.b64decode(case["TESTCTX"]["CERTIFICATE"]))
    return case, certificate, bytes.fromhex(case["COSE"])


def dgc_verify(message, certificate):
    """Verify as the EU's rules say.

    The protected kid counts first, and it is 8 bytes of the certificate's hash.
    """
    parts = cose.parse(message, cose.VECTORS)
    kid = cose.protected_headers(parts, cose.VECTORS).get(cose.KID, parts.unprotected.get(cose.KID))
    if kid != certificate.fingerprint(hashes.SHA256())[:8]:
        raise KeyError("no certificate has this kid")
    return cose.verify(message, certificate.public_key(), cose.VECTORS)


@pytest.mark.parametrize("path", DGC_CASES)
def test_eu_certificates_signatures_hold_or_fail_as_they_say(path):
    case, certificate, message = dgc_case(path)
    wrong = path.rpartition("/")[2].removesuffix(".json") in DGC_WRONG
    assert case["EXPECTEDRESULTS"].get("EXPECTEDVERIFY", not wrong) is not wrong
    if wrong:
        with pytest.raises((InputRefused, KeyError)):
            dgc_verify(message, certificate)
    else:
        assert dgc_verify(message, certificate)


@pytest.mark.parametrize("path", DGC_CASES)
def test_the_strict_profile_refuses_eu_certificates(path):
    case, _, message = dgc_case(path)
    assert reason(case["PREFIX"].encode()) in {"too_long", "prefix_unknown"}
    assert reason(wrap(message)) not in {"accepted", "signature_invalid"}
    text = case["PREFIX"].encode().replace(b"HC1:", b"ES1:")[:512]
    assert reason(text) not in {"accepted", "signature_invalid"}


def test_the_strict_profile_refuses_an_eu_header_for_what_it_is():
    _, _, message = dgc_case("common/2DCode/raw/CO3.json")
    headers = cose.parse(
        message, cose.STRICT
    ).protected  # {4: kid, 1: alg}: legal COSE, not deterministic
    short = b"\xd2\x84" + cbor.encode(headers) + b"\xa0" + cbor.encode(b"") + cbor.encode(bytes(64))
    assert reason(wrap(short)) == "cbor_key_order_or_duplicate"
