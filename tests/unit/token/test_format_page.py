"""The CDDL of docs/reference/token.md and signed-lists.md describes what the code accepts."""

import re
from dataclasses import replace

import pytest

from edge.token import base45, cbor, cose
from edge.token.claims import Kind
from edge.token.status_list import sign_status_list, status_list
from edge.token.trust_list import sign_trust_list
from tests.support.paths import DOCS
from tests.support.token_factory import (
    GRANT,
    ISSUER,
    ISSUER_P256,
    ROOT,
    ROOTS,
    STATUS,
    token,
    trust_list,
    trusted,
)

pycddl = pytest.importorskip("pycddl", reason="needs pycddl, which has wheels for x86_64 only")

GRANTS = [
    pytest.param(ISSUER, GRANT, id="the fewest claims"),
    pytest.param(
        ISSUER_P256,
        replace(
            GRANT, kind=Kind.WRITE_OFF, amount_minor=1250, currency="EUR", flags=3, issued_at_s=1
        ),
        id="an amount, flags and iat",
    ),
    pytest.param(ISSUER, replace(GRANT, status_index=7, dynamic_mode=1), id="status and HMAC tail"),
    pytest.param(
        ISSUER, replace(GRANT, dynamic_mode=2, holder=ISSUER_P256.public), id="a holder's key"
    ),
]


def fits(page, rule, data):
    text = (DOCS / "reference" / page).read_text(encoding="utf-8")
    (definition,) = re.findall(r"```cddl\n(.*?)```", text, re.DOTALL)
    try:
        pycddl.Schema(f"start = {rule}\n{definition}").validate_cbor(data)
    except pycddl.ValidationError:
        return False
    return True


def issued(key, grant):
    facts = {name: getattr(grant, name) for name in grant.__slots__}
    return cose.parse(base45.decode(token(key, **facts)[4:]), cose.STRICT)


@pytest.mark.parametrize(("key", "grant"), GRANTS)
def test_a_token_that_the_code_makes_fits_the_page(key, grant):
    message = issued(key, grant)
    assert fits("token.md", "header", message.protected)
    assert fits("token.md", "claims", message.payload)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({2: 1}, id="an unknown claim"),
        pytest.param({7: b"short"}, id="a cti of 5 bytes"),
        pytest.param({4: 2**33}, id="an exp beyond 2^33"),
        pytest.param({1: "x" * 41}, id="an issuer of 41 characters"),
    ],
)
def test_claims_that_the_code_refuses_do_not_fit_the_page(changes):
    claims = cbor.decode(issued(ISSUER, GRANT).payload, cbor.TOKEN_LIMITS)
    assert not fits("token.md", "claims", cbor.encode(claims | changes))


def payload(document):
    return cose.parse(document, cose.STRICT).payload


def test_lists_that_the_code_signs_fit_the_page():
    narrow = {"audiences": frozenset({"shop-1"}), "largest_amount_minor": 5000}
    trust = trust_list(trusted(ISSUER, **narrow), trusted(ISSUER_P256))
    status = status_list(
        kid=ISSUER.public.kid, version=2, issued_at_s=1, expires_at_s=9, size=100, revoked=[3]
    )
    assert fits("signed-lists.md", "trust-list", payload(sign_trust_list(trust, ROOT, ROOTS)))
    assert fits("signed-lists.md", "status-list", payload(sign_status_list(status, STATUS)))
    assert fits("signed-lists.md", "roots", ROOTS.to_bytes())
    assert not fits("signed-lists.md", "status-list", ROOTS.to_bytes())
