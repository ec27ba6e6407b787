"""A device that lost its store gets back what it and its site redeemed, page by page, once."""

import os
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.domain.authorisation import AuthorisationResult
from edge.domain.verdict import Verdict
from edge.store import ledger_restore, outbox
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.trust_list import TrustList
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.agent.outcomes import DocumentOutcome, DownlinkRefusal
from sync.agent.restore_requester import BEHIND, PENDING, RestoreRequester
from sync.hub.arbitration import grants
from sync.hub.arbitration.grants import SoldQuantity
from sync.hub.ledger import ingest, restore_pages
from sync.hub.orders.order_lines import OrderLine, put_lines
from sync.wire.limits import PageBounds
from sync.wire.messages import Batch, Event, GrantRequest, RestoreReply, RestoreRequest
from sync.wire.restore_page import RESTORE_PAGE
from tests.support.sample_shop import code, deliver, open_at, order, redeemer

NOW = Instant(unix_s=1_800_000_000)
NOW_S = NOW.unix_s
SITE, DEV, NEIGHBOUR, STRANGER = "site-1", "kiosk-1", "kiosk-2", "kiosk-9"
KEY, OTHER_KEY = (signer(Ed25519PrivateKey.generate()) for _ in range(2))


class Trusting:
    """Anchors with one key for the authority's replies."""

    def __init__(self, audiences=None):
        key = TrustedKey(
            key=KEY.public,
            purposes=frozenset({Purpose.GRANT}),
            not_before_s=0,
            expires_at_s=2**33 - 1,
            audiences=audiences,
        )
        self.trust = TrustList(version=1, issued_at_s=0, expires_at_s=2**33 - 1, keys=(key,))


def cti_of(number):
    return number.to_bytes(16, "big")


def redeemed(number, *, seq, units=1, expires_s=NOW_S + 3600, type="redeemed", **body):
    whole = {"cti": cti_of(number).hex(), "use": 1, "units": units, "expires_s": expires_s, **body}
    return Event(seq=seq, id=f"id-{seq}", ts=NOW_S, ts_trust="trusted", type=type, body=whole)


def take(hub, *events, dev=DEV, epoch="e1"):
    with hub.transaction() as connection:
        ingest.ingest_batch(connection, Batch(dev, epoch, 0, 0, events), NOW_S)


def sell(hub, *numbers, site=SITE):
    lines = [
        OrderLine(
            cti=cti_of(number).hex(),
            order_id="A",
            kind="write_off",
            home_site=site,
            expires_at_s=NOW_S + 3600,
        )
        for number in numbers
    ]
    with hub.transaction() as connection:
        put_lines(connection, lines, NOW_S)


def reply_to(hub, request, *, site=SITE, rows=500, only_site=False, key=KEY, now_s=NOW_S):
    with hub.transaction() as connection:
        page = restore_pages.restore_page(
            connection,
            request,
            site=site,
            authority="_hub",
            now_s=now_s,
            only_site=only_site,
            bounds=PageBounds(most_items=rows),
        )
    return restore_pages.restore_reply(page, key)


def all_of(hub, dev=DEV, **said):
    """Return the pages that ``dev`` gets, each as the list of its codes and devices."""
    pages, after = [], ""
    while True:
        reply = reply_to(hub, RestoreRequest(dev=dev, id="r", after=after), **said)
        page = RESTORE_PAGE.read_unverified(b64decode(reply.signed))
        pages.append([(int.from_bytes(row.cti, "big"), row.device) for row in page.rows])
        if page.last:
            return pages
        after = page.next


@pytest.fixture
def hub(opened):
    return opened()


def test_what_the_device_redeemed_and_what_its_site_redeemed_is_sent(hub):
    sell(hub, 1, 2, 3)
    sell(hub, 4, 5, site="site-2")
    take(hub, redeemed(1, seq=1), redeemed(6, seq=2))  # 6 is in no order
    take(hub, redeemed(2, seq=1), redeemed(7, seq=2), dev=NEIGHBOUR)
    take(hub, redeemed(4, seq=1), dev=STRANGER)
    assert all_of(hub) == [[(1, DEV), (2, NEIGHBOUR), (6, DEV)]]
    assert all_of(hub, dev=STRANGER, site="site-2") == [[(4, STRANGER)]]


def test_a_reversed_redemption_and_an_expired_code_are_not_sent(hub):
    retired_s = NOW_S - restore_pages.RETIRED_S
    take(
        hub,
        redeemed(1, seq=1),
        redeemed(2, seq=2, expires_s=retired_s),
        redeemed(3, seq=3, expires_s=retired_s + 1),
        redeemed(4, seq=4, expires_s=None),
        redeemed(1, seq=5, type="reversed", redemption_event="id-1", reason="x", operator="o"),
    )
    assert all_of(hub) == [[(3, DEV), (4, DEV)]]


def test_pages_are_cut_by_bytes_and_lose_nothing(hub, monkeypatch):
    sell(hub, *range(100, 120))
    take(hub, *(redeemed(number, seq=number) for number in range(1, 41)))
    events = (redeemed(number, seq=number, use=number) for number in range(100, 120))
    take(hub, *events, dev=NEIGHBOUR)
    monkeypatch.setattr(restore_pages, "LOOKED_AT", 7)
    expected = [(n, DEV) for n in range(1, 41)] + [(n, NEIGHBOUR) for n in range(100, 120)]
    for rows in (1, 3, 6, 7, 8):
        pages = all_of(hub, rows=rows)
        assert [row for page in pages for row in page] == expected
        assert max(len(page) for page in pages) <= min(rows, 7)


def test_many_uses_of_one_code_are_cut_too(hub):
    take(hub, *(redeemed(1, seq=seq, use=seq) for seq in range(1, 12)))
    assert [len(page) for page in all_of(hub, rows=4)] == [4, 4, 3]


@pytest.mark.parametrize("cursor", ["junk", "zz/a/b/1", "00/a/b/-1", f"00/a/b/{2**70}"])
def test_a_cursor_that_is_not_the_hubs_begins_from_the_first(hub, cursor):
    take(hub, redeemed(1, seq=1))
    reply = reply_to(hub, RestoreRequest(dev=DEV, id="r", after=cursor))
    page = RESTORE_PAGE.read_unverified(b64decode(reply.signed))
    assert (len(page.rows), page.last) == (1, True)


def test_a_hub_that_knows_nothing_of_the_device_ends_the_restore_at_once(hub):
    assert all_of(hub) == [[]]


def test_the_reply_says_through_which_event_the_hub_has_each_epoch(hub):
    take(hub, redeemed(1, seq=1), redeemed(2, seq=2), redeemed(3, seq=9))
    reply = reply_to(hub, RestoreRequest(dev=DEV, id="r", epochs=["e1", "e2"]))
    page = RESTORE_PAGE.read_unverified(b64decode(reply.signed))
    assert page.streams == (("e1", 2), ("e2", 0))


# Both ends


class Device:
    """A device's store that was just made, its requester, and the hub that replies to it."""

    def __init__(self, folder, hub, **said):
        self.hub, self.store = hub, open_at(folder, recovering=True, **said)
        self.time_s, self.ids = 0.0, 0
        self.restart()

    def restart(self, **anchors):
        self.requester = RestoreRequester(
            self.store, Trusting(**anchors), device=DEV, site=SITE, patience_s=60
        )

    def request(self):
        self.ids += 1
        return self.requester.next_request(self.time_s, new_id=lambda: f"r{self.ids}")

    def take(self, reply):
        return self.requester.receive(reply, NOW, self.time_s)

    def page(self, **said):
        request = self.request()
        return self.take(reply_to(self.hub, request, **said))

    def state(self):
        return ledger_restore.restore_state(self.store)


@pytest.fixture
def device(tmp_path, hub):
    device = Device(tmp_path / "device", hub)
    yield device
    device.store.close()


def test_a_page_a_step_and_the_last_one_ends_the_doubt(hub, device):
    take(hub, *(redeemed(number, seq=number) for number in range(1, 6)))
    assert device.state().lost_s is not None
    assert device.page(rows=3) is DocumentOutcome.RESTORED
    assert device.requester.progress().restored == 3
    assert device.state().lost_s is not None
    device.restart()  # as after a kill between two pages: it goes on where it was
    assert device.page(rows=3) is DocumentOutcome.RESTORE_COMPLETE
    assert device.state() == ledger_restore.RestoreState(None, None)
    assert (device.requester.progress().restored, device.request()) == (5, None)


def test_what_was_given_back_is_not_redeemed_again_and_is_no_event(hub, device):
    used, fresh = code(cti=cti_of(1)), code(cti=cti_of(2))
    take(hub, redeemed(1, seq=1))
    deliver(device.store, order(used), order(fresh))
    assert redeemer(device.store).redeem(used, NOW).reason is Verdict.NEEDS_ONLINE
    device.page()
    waiting = outbox.backlog(device.store).pending
    outcome = redeemer(device.store).redeem(used, NOW)
    assert (outcome.reason, outcome.detail) == (
        Verdict.ALREADY_REDEEMED,
        f"redeemed at {NOW_S} on {DEV}",
    )
    assert redeemer(device.store).redeem(fresh, NOW).is_accepted
    types = [row.type for row in outbox.pending(device.store)][waiting:]
    assert types == ["refused", "redeemed"]


def test_what_the_store_has_itself_counts_once(hub, device):
    """As after a quarantine that could carry the ledger over, or a use during the restore."""
    claims = code(cti=cti_of(1), quantity=2, issued_at_s=NOW_S - 60)
    deliver(device.store, order(claims))
    ledger_restore.bound_loss(device.store, Instant(unix_s=NOW_S - 3600))
    assert redeemer(device.store).redeem(claims, NOW).is_accepted
    (event,) = [row for row in outbox.pending(device.store) if row.type == "redeemed"]
    sent = Event(
        seq=event.seq, id=event.id, ts=NOW_S, ts_trust="trusted", type=event.type, body=event.body
    )
    take(hub, sent, epoch=event.epoch)
    device.page()
    assert device.requester.progress().restored == 0
    assert redeemer(device.store).redeem(claims, NOW).is_accepted
    assert redeemer(device.store).redeem(claims, NOW).reason is Verdict.ALREADY_REDEEMED


def test_a_page_counts_only_signed_and_only_for_the_request_that_waits(hub, device):
    take(hub, redeemed(1, seq=1))
    before = device.state()
    request = device.request()
    good = reply_to(hub, request)
    raw = bytearray(b64decode(good.signed))
    raw[-1] ^= 1
    attacks = {
        "document_signature_invalid": b64encode(raw).decode(),
        "document_key_unknown": reply_to(hub, request, key=OTHER_KEY).signed,
        "restore_not_requested": reply_to(hub, request.model_copy(update={"id": "r0"})).signed,
        "wrong_device": reply_to(hub, request.model_copy(update={"dev": NEIGHBOUR})).signed,
        "wrong_shape": "no base64!",
    }
    for reason, signed in attacks.items():
        outcome = device.take(RestoreReply(dev=DEV, id=request.id, signed=signed))
        assert isinstance(outcome, DownlinkRefusal)
        assert outcome.reason == reason
    at_other_site = reply_to(hub, request, site="site-2")
    assert device.take(at_other_site).reason == "wrong_device"
    assert device.state() == before
    assert device.take(good) is DocumentOutcome.RESTORE_COMPLETE
    assert device.take(good).reason == "restore_not_requested"


def test_a_sites_own_key_gives_back_for_its_site_alone(hub, device):
    device.restart(audiences=frozenset({"site-2"}))
    assert device.page().reason == "wrong_site"
    device.restart(audiences=frozenset({SITE}))
    assert device.page() is DocumentOutcome.RESTORE_COMPLETE


def test_a_hub_that_lost_acknowledged_events_ends_no_restore(hub, device):
    epoch, _ = outbox.current_epoch(device.store)
    redeemer(device.store).redeem(code(), NOW)
    outbox.acknowledge(device.store, epoch=epoch, through_seq=1)
    assert device.page().reason == BEHIND
    assert BEHIND in device.requester.problems(0.0)
    assert device.state().after == ""
    take(hub, redeemed(1, seq=1), epoch=epoch)
    device.time_s += 600
    assert device.page() is DocumentOutcome.RESTORE_COMPLETE
    assert device.requester.problems(1e6) == {}


def test_a_restore_that_never_comes_is_a_problem_with_a_name(device):
    assert device.requester.problems(0.0) == {}
    assert device.requester.problems(59.0) == {}
    assert PENDING in device.requester.problems(60.0)


def test_the_request_is_repeated_ever_more_rarely(device):
    device.requester.request_now(0.0)
    sent = []
    for second in range(60):
        device.time_s = float(second)
        if device.request() is not None:
            sent.append(second)
    assert sent == [0, 5, 15, 30, 45]


def test_a_page_that_takes_longer_than_the_wait_still_counts(hub, device):
    """Over a thin line it is on its way while the device asks again; the second copy is late."""
    first = reply_to(hub, device.request())
    device.time_s += 5
    again = reply_to(hub, device.request())
    assert device.take(first) is DocumentOutcome.RESTORE_COMPLETE
    assert device.take(again).reason == "restore_not_requested"


def test_without_a_trust_list_nothing_is_requested(device):
    device.requester = RestoreRequester(
        device.store, Trusting(), device=DEV, site=SITE, patience_s=60
    )
    device.requester._anchors.trust = TrustList(
        version=0, issued_at_s=0, expires_at_s=2**33 - 1, keys=()
    )
    assert device.request() is None


@pytest.mark.parametrize("known", [0, 1, 2])
def test_an_authority_counts_what_the_device_does_not(hub, known):
    """Until all is given back, a device names the uses of its own that it counts."""
    take(hub, redeemed(1, seq=1, units=2), redeemed(1, seq=2, units=1, use=2))
    take(hub, redeemed(1, seq=1, units=1), dev=NEIGHBOUR)
    counted = [f"id-{seq}" for seq in range(1, known + 1)]
    asked = GrantRequest(
        dev=DEV, id="g", cti=cti_of(1).hex(), quantity=1, epoch="e2", number=1, counted=counted
    )
    with hub.transaction() as connection:
        decision = grants.decide_grant(connection, asked, SoldQuantity(10, None))
    assert decision.result is AuthorisationResult.GRANTED
    assert decision.used == {0: 4, 1: 2, 2: 1}[known]


def test_another_device_put_in_its_place_gets_the_same(tmp_path, hub, device):
    """A swapped device has the name of the old one and an empty store."""
    take(hub, redeemed(1, seq=1))
    device.page()
    swapped = Device(tmp_path / "swapped", hub)
    assert swapped.page() is DocumentOutcome.RESTORE_COMPLETE
    assert swapped.requester.progress() == device.requester.progress()
    swapped.store.close()


def test_an_old_copy_that_was_put_back_gets_what_came_after_it_and_doubts_no_code(hub, device):
    from edge.store.epochs import end_epoch

    device.page()
    epoch, _ = outbox.current_epoch(device.store)
    take(hub, redeemed(1, seq=1), epoch=epoch)
    end_epoch(device.store, epoch, why="ahead", now=NOW, random_bytes=os.urandom)
    assert device.state() == ledger_restore.RestoreState("", None)
    device.requester.request_now(0.0)
    assert device.page() is DocumentOutcome.RESTORE_COMPLETE
    assert device.requester.progress().restored == 1
