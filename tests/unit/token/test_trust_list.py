import pytest

from edge.token.claims import Kind
from edge.token.purpose import Purpose
from edge.token.roots import Roots, claimed_roots, open_rotation, read_roots, sign_rotation
from edge.token.signed_document import DocumentFault, DocumentRefusal, sign_document
from edge.token.trust_list import open_trust_list, sign_trust_list
from tests.support.token_factory import (
    DAY_S,
    FLOOR,
    ISSUER,
    ISSUER_P256,
    NOW,
    NOW_S,
    ROOT,
    ROOTS,
    TRUST,
    ed25519,
    p256,
    reason,
    token,
    trust_list,
    trusted,
)

NEW_ROOT = ed25519("new root")
NEW_ROOTS = Roots(2, (NEW_ROOT.public,))


def fault(outcome) -> DocumentFault:
    assert isinstance(outcome, DocumentRefusal), outcome
    return outcome.fault


def open_list(data, **changes):
    return open_trust_list(data, **{"roots": ROOTS, "now": NOW, **changes})


def signed(payload_changes, key_changes=None):
    """Change the payload of a list, and return it signed by the root."""
    entry = {
        1: {1: 1, -1: 6, -2: ISSUER.public.cose_key[-32:]},
        2: "token",
        3: -19,
        4: 0,
        5: NOW_S,
        6: ["platform"],
        8: [1],
    }
    payload = {
        1: 1,
        2: NOW_S - 1,
        3: NOW_S + 1,
        4: [entry | (key_changes or {})],
        5: ROOTS.to_item(),
    } | payload_changes
    return sign_document(
        {label: value for label, value in payload.items() if value is not ...},
        Purpose.TRUST_LIST,
        ROOT,
    )


def test_a_trust_list_comes_back_as_it_was_signed():
    key = trusted(
        ISSUER,
        audiences=frozenset({"shop-1", "shop-2"}),
        kinds=frozenset({Kind.PICKUP}),
        largest_amount_minor=5000,
    )
    trust = trust_list(key, trusted(ISSUER_P256), trusted(ed25519("feed"), Purpose.ORDER_FEED))
    assert open_list(sign_trust_list(trust, ROOT, ROOTS)) == trust


def test_only_a_root_makes_a_trust_list():
    forger = ed25519("forger")
    with pytest.raises(ValueError, match="not one of the roots"):
        sign_trust_list(TRUST, forger, ROOTS)
    forged = sign_trust_list(TRUST, forger, Roots(1, (forger.public,)))
    assert fault(open_list(forged)) is DocumentFault.KEY_UNKNOWN


def test_a_rolled_back_trust_list_is_refused():
    data = sign_trust_list(trust_list(version=7), ROOT, ROOTS)
    assert open_list(data, highest_version=7).version == 7  # the same list again, as after a start
    assert fault(open_list(data, highest_version=8)) is DocumentFault.ROLLBACK


def test_a_frozen_trust_list_ends_by_its_expiry_and_by_its_age():
    """Freeze attack: an attacker who holds back new lists cannot keep an old one alive."""
    now_expired = trust_list(expires_at_s=NOW_S)
    assert reason(token(), trust=now_expired) == "trust_list_stale"
    assert reason(token(), trust=now_expired, now=FLOOR) == "trust_list_stale"
    assert reason(token(), trust=trust_list(issued_at_s=NOW_S - 30 * DAY_S)) == "accepted"
    assert (
        reason(token(), trust=trust_list(issued_at_s=NOW_S - 30 * DAY_S - 1)) == "trust_list_stale"
    )


def test_two_keys_with_one_kid_make_no_trust_list():
    with pytest.raises(ValueError, match="share a kid"):
        trust_list(trusted(ISSUER), trusted(ISSUER, Purpose.ORDER_FEED))
    entry = {1: {1: 1, -1: 6, -2: ISSUER.public.cose_key[-32:]}, 2: "token", 3: -19, 4: 0, 5: NOW_S}
    assert (
        fault(open_list(signed({4: [entry, entry | {2: "order_feed"}]})))
        is DocumentFault.KID_COLLISION
    )


def test_a_small_order_key_is_refused_though_a_root_signed_for_it():
    identity = {1: {1: 1, -1: 6, -2: (1).to_bytes(32, "little")}}
    assert fault(open_list(signed({}, identity))) is DocumentFault.UNFIT_KEY


@pytest.mark.parametrize(
    ("changes", "key_changes"),
    [
        ({1: ...}, {}),
        ({1: 0}, {}),
        ({1: True}, {}),
        ({1: "7"}, {}),
        ({2: NOW_S + 1}, {}),  # issued when it expires
        ({3: 2**33}, {}),
        ({4: {}}, {}),
        ({4: [1]}, {}),
        ({6: 0}, {}),  # unknown field
        ({}, {2: "root"}),
        ({}, {2: "trust_list"}),  # only roots sign trust lists
        ({}, {2: 7}),
        ({}, {3: -9}),  # not the algorithm of the key
        ({}, {3: -8}),
        ({}, {4: NOW_S}),  # an empty window
        ({}, {6: "platform"}),
        ({}, {6: [1]}),
        ({}, {8: [0]}),
        ({}, {8: [4]}),
        ({}, {8: [True]}),
        ({}, {9: -1}),
        ({}, {10: 0}),
    ],
)
def test_a_signed_list_that_says_something_else_is_refused(changes, key_changes):
    assert open_list(signed({})).version == 1
    assert fault(open_list(signed(changes, key_changes))) is DocumentFault.CONTENT


def test_a_key_for_something_that_a_later_version_knows_is_skipped_and_the_others_hold():
    entry = {1: {1: 1, -1: 6, -2: ISSUER.public.cose_key[-32:]}, 2: "token", 3: -19, 4: 0, 5: NOW_S}
    later = {1: {1: 9, "new": "form"}, 2: "everything", 12: "a field of its own"}
    listed = open_list(signed({4: [later, entry, entry | {2: "everything"}]}))
    assert [key.purposes for key in listed.keys] == [frozenset({Purpose.TOKEN})]


@pytest.mark.parametrize("data", [b"", b"\xd2", b"not cbor", bytes(1000)])
def test_a_trust_list_that_is_none_is_refused(data):
    assert fault(open_list(data)) is DocumentFault.MALFORMED
    assert isinstance(claimed_roots(data), DocumentRefusal)


def test_a_root_rotation_is_signed_by_old_and_new():
    rotation = sign_rotation(NEW_ROOTS, ROOT, NEW_ROOT)
    assert open_rotation(rotation, roots=ROOTS, now=NOW) == NEW_ROOTS
    data = sign_trust_list(TRUST, NEW_ROOT, NEW_ROOTS)
    assert fault(open_list(data)) is DocumentFault.KEY_UNKNOWN
    assert open_list(data, roots=NEW_ROOTS) == TRUST
    assert (
        fault(open_list(sign_trust_list(TRUST, ROOT, ROOTS), roots=NEW_ROOTS))
        is DocumentFault.KEY_UNKNOWN
    )


@pytest.mark.parametrize(
    ("roots", "old", "new", "expected"),
    [
        pytest.param(
            NEW_ROOTS,
            ed25519("thief"),
            NEW_ROOT,
            DocumentFault.KEY_UNKNOWN,
            id="old root did not sign",
        ),
        pytest.param(NEW_ROOTS, ROOT, ROOT, DocumentFault.KEY_UNKNOWN, id="new root did not sign"),
        pytest.param(
            Roots(1, NEW_ROOTS.keys), ROOT, NEW_ROOT, DocumentFault.ROLLBACK, id="the same version"
        ),
        pytest.param(
            Roots(3, NEW_ROOTS.keys), ROOT, NEW_ROOT, DocumentFault.GAP, id="a version left out"
        ),
    ],
)
def test_any_other_rotation_is_refused(roots, old, new, expected):
    assert fault(open_rotation(sign_rotation(roots, old, new), roots=ROOTS, now=NOW)) is expected


def test_a_rotation_with_one_signature_is_refused():
    once = sign_document(NEW_ROOTS.to_item(), Purpose.ROOT, ROOT)
    assert fault(open_rotation(once, roots=ROOTS, now=NOW)) is DocumentFault.CONTENT
    assert (
        fault(open_rotation(sign_document(b"", Purpose.ROOT, ROOT), roots=ROOTS, now=NOW))
        is DocumentFault.CONTENT
    )


def test_a_roots_file_comes_back_and_a_broken_one_is_refused():
    two = Roots(4, (ROOT.public, p256("second root").public))
    assert read_roots(two.to_bytes()) == two
    assert isinstance(read_roots(b""), DocumentRefusal)
    assert isinstance(read_roots(two.to_bytes()[:-1]), DocumentRefusal)
    with pytest.raises(ValueError, match="share a kid"):
        Roots(1, (ROOT.public, ROOT.public))


def test_a_list_names_its_roots_for_tools_that_have_none():
    assert claimed_roots(sign_trust_list(TRUST, ROOT, ROOTS)) == ROOTS
