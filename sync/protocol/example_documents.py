"""Example signed documents: the order of one voucher, the lists, a grant, a lease, a decision."""

from __future__ import annotations

from dataclasses import replace

from edge.documents.operator_list import OperatorEntry, OperatorList, sign_operator_list
from edge.documents.settings import SettingsDocument, SettingsLayer, sign_settings
from edge.domain.authorisation import AuthorisationResult
from edge.domain.entitlement import Entitlement, OrderStatus
from edge.domain.order_row import EMPTY_DIGEST, row_digest, row_of
from edge.domain.roles import Role
from edge.token import cbor
from edge.token.cbor import Item
from edge.token.claims import Kind
from edge.token.purpose import Purpose
from edge.token.signed_document import sign_document
from edge.token.status_list import sign_status_list, status_list
from edge.token.trust_list import sign_trust_list
from sync.protocol.example_keys import (
    CTI,
    DAY_S,
    DEV,
    EPOCH,
    INCARNATION,
    NOW_S,
    PIN_HASH,
    REVISION,
    SITE,
    YEAR_S,
    ident,
    key,
    roots,
    trust,
)
from sync.wire.grant_reply import GRANT_REPLY, GrantReply
from sync.wire.order_feed import Confirmation, Delta, Snapshot, page_payload
from sync.wire.restore_page import RESTORE_PAGE, PlatformRedemption, RestorePage
from sync.wire.review_decision import ReviewDecision, sign_review_decision
from sync.wire.review_page import ReviewPage, review_payload
from sync.wire.site_lease import LEASE, Lease, LeasedRedemption


def grant_reply() -> bytes:
    """Return a grant for one unit."""
    reply = GrantReply(
        device=DEV,
        id=ident(4),
        cti=bytes.fromhex(CTI),
        result=AuthorisationResult.GRANTED,
        quantity=1,
        site=SITE,
        authority="_hub",
        issued_at_s=NOW_S,
    )
    return GRANT_REPLY.sign(reply, key(Purpose.GRANT))


def restore_page() -> bytes:
    """Return the last page of a restore, with the one redemption of that shop."""
    redemption = PlatformRedemption(
        cti=bytes.fromhex(CTI),
        device=DEV,
        units=1,
        amount_minor=1250,
        at_s=NOW_S + 42,
        event_id=ident(42),
    )
    page = RestorePage(
        device=DEV,
        id=ident(9),
        site=SITE,
        authority="_hub",
        issued_at_s=NOW_S + DAY_S,
        after="",
        next="",
        last=True,
        rows=(redemption,),
        streams=((EPOCH, 42),),
    )
    return RESTORE_PAGE.sign(page, key(Purpose.GRANT))


def lease() -> bytes:
    """Return a lease for three days, with the one redemption so far."""
    redemption = LeasedRedemption(
        cti=bytes.fromhex(CTI),
        dev=DEV,
        use_no=1,
        epoch=EPOCH,
        seq=42,
        units=1,
        amount_minor=1250,
        ts=NOW_S + 42,
        id=ident(42),
        expires_s=NOW_S + DAY_S,
    )
    content = Lease(
        site=SITE,
        holder="hub-shop-1",
        term=1,
        until_s=NOW_S + 3 * DAY_S,
        uses=(redemption,),
        streams=((DEV, EPOCH, 42),),
    )
    return LEASE.sign(content, key(Purpose.GRANT))


def review_decision() -> bytes:
    """Return Zoe's decision to reject a redemption."""
    decision = ReviewDecision(
        tenant="main",
        device=DEV,
        epoch=EPOCH,
        seq=46,
        cti=bytes.fromhex(CTI),
        approve=False,
        reason="stolen card",
        issued_at_s=NOW_S,
    )
    return sign_review_decision(decision, key(Purpose.REVIEW))


def entitlement() -> Entitlement:
    """Return the voucher that was sold."""
    return Entitlement(
        cti=bytes.fromhex(CTI),
        order_id="A-1042",
        kind=Kind.WRITE_OFF,
        home_site=SITE,
        home_device=None,
        status=OrderStatus.READY,
        quantity=1,
        amount_minor=1250,
        currency="EUR",
        not_before_s=0,
        expires_at_s=NOW_S + DAY_S,
        review=False,
        compartments=(),
        subject=None,
        campaign=None,
        rules=None,
        revision=REVISION,
    )


def order_pages() -> dict[str, bytes]:
    """Return pages of the order feed, by what they hold."""
    row = row_of(entitlement())
    snapshot = Snapshot(
        site=SITE,
        issued_at_s=NOW_S,
        incarnation=INCARNATION,
        revision=REVISION,
        page=0,
        last=True,
        rows=(row,),
    )
    delta = Delta(
        site=SITE,
        issued_at_s=NOW_S,
        incarnation=INCARNATION,
        from_revision=REVISION - 1,
        to_revision=REVISION,
        head=REVISION,
        rows=(row,),
        removed=(),
        digest=row_digest(row),
    )
    nothing_new = replace(
        delta,
        site="shop-2",
        confirmed=Confirmation(revision=REVISION, rows=0),
        from_revision=REVISION,
        rows=(),
        digest=EMPTY_DIGEST,
    )
    decisions = ReviewPage(site=SITE, issued_at_s=NOW_S, rows=(review_decision(),))
    return {
        "A snapshot of one page": _page(page_payload(snapshot)),
        "A delta": _page(page_payload(delta)),
        "A delta that says: nothing is new, and that it is empty is confirmed": _page(
            page_payload(nothing_new)
        ),
        "The decision of a person at the platform": _page(review_payload(decisions)),
    }


def _page(payload: Item) -> bytes:
    return sign_document(payload, Purpose.ORDER_FEED, key(Purpose.ORDER_FEED))


def trust_list() -> bytes:
    """Return the trust list of all example keys."""
    return sign_trust_list(trust(), key(Purpose.ROOT), roots())


def operator_list() -> bytes:
    """Return a list of one operator."""
    anna = OperatorEntry(
        id="anna",
        role=Role.OPERATOR,
        pin_hash=PIN_HASH,
        not_before_s=NOW_S,
        expires_at_s=NOW_S + YEAR_S,
    )
    operators = OperatorList(
        audience=SITE,
        version=NOW_S,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + 35 * DAY_S,
        entries=(anna,),
    )
    return sign_operator_list(operators, key(Purpose.OPERATORS))


def status_lists() -> bytes:
    """Return the status list of the one issuer key, with token 5 revoked."""
    status = status_list(
        kid=key(Purpose.TOKEN).public.kid,
        version=3,
        issued_at_s=NOW_S,
        expires_at_s=NOW_S + DAY_S,
        size=16,
        revoked=[5],
    )
    return cbor.encode([sign_status_list(status, key(Purpose.STATUS_LIST))])


def settings_list() -> bytes:
    """Return the settings of one site."""
    layer = SettingsDocument(
        tenant="main", layer=SettingsLayer.SITE, name=SITE, rev=12, content={"camera": {"fps": 15}}
    )
    return cbor.encode([sign_settings(layer, key(Purpose.CONFIGURATION))])
