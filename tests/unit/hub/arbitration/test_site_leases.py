"""A lease over a site's claims ends by time: the holder stops before the platform resumes."""

from base64 import b64decode

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import CapturingLogger

from edge.domain.authorisation import AuthorisationResult
from edge.redemption.authorisation_client import REPLY_DEADLINE_S
from edge.store.authorisations import USE_WITHIN_NS
from edge.token.keys import signer
from edge.token.purpose import Purpose
from edge.token.roots import Roots
from edge.token.trust_list import TrustList, sign_trust_list
from edge.token.trusted_key import TrustedKey
from edge.values.instant import Instant
from sync.hub.arbitration import grants, site_leases
from sync.hub.arbitration.site_leases import MARGIN_S
from sync.hub.config import HUB_TIMINGS
from sync.hub.ledger import ingest
from sync.hub.orders import order_lines
from sync.hub.site.authority import RENEW_S, SiteAuthority
from sync.hub.site.authority_parts import AuthorityIdentity, AuthorityParts
from sync.hub.site.cli import authority as command
from sync.hub.store import redemption_table
from sync.hub.store.opening import open_hub_store
from sync.mqtt.endpoint import Arrival, LinkState
from sync.mqtt.oversized import OversizedPublishes
from sync.wire import codec
from sync.wire.messages import Batch, Event, GrantRequest, Response, RestoreRequest
from sync.wire.restore_page import RESTORE_PAGE
from sync.wire.site_lease import LeaseRequest

NOW_S = 1_800_000_000
LEASE_S = 600
CTI = bytes(range(16)).hex()
ROOT, KEY, SITES = (signer(Ed25519PrivateKey.generate()) for _ in range(3))
ROOTS = Roots(1, (ROOT.public,))


def listed(key, audiences):
    return TrustedKey(
        key=key.public,
        purposes=frozenset({Purpose.GRANT}),
        not_before_s=0,
        expires_at_s=2**33 - 1,
        audiences=audiences,
    )


class Mailbox:
    """A session's place: what is put into ``arrivals`` comes, what is published stays."""

    link, detail, connected, connections = LinkState.CONNECTED, "", True, 1
    oversized = OversizedPublishes()

    def __init__(self):
        self.arrivals, self.published = [], []

    def step(self, _timeout_s):
        arrivals, self.arrivals = self.arrivals, []
        return arrivals

    def acknowledge(self, arrival):
        pass

    def publish(self, topic, payload, **_):
        self.published.append((topic, payload))
        return True


class Site:
    """A platform's store, and the authority of shop-1, each with a clock that the test holds."""

    def __init__(self, folder):
        self.platform, self.own = (
            open_hub_store(folder / "platform"),
            open_hub_store(folder / "shop"),
        )
        self.now_s, self.monotonic_s, self.mailbox, self.requests = NOW_S, 0.0, Mailbox(), 0
        parts = AuthorityParts(
            store=self.own,
            session=self.mailbox,
            roots=ROOTS,
            grant_signer=KEY,
            now=lambda: Instant(unix_s=self.now_s),
            monotonic=lambda: self.monotonic_s,
            new_id=lambda: "id-1",
            log=CapturingLogger(),
        )
        identity = AuthorityIdentity(tenant="main", site="shop-1", name="hub-shop-1")
        self.authority = SiteAuthority(identity, parts)
        keys = (listed(KEY, None), listed(SITES, frozenset({"shop-1"})))
        trust = TrustList(version=1, issued_at_s=NOW_S, expires_at_s=NOW_S + 10**8, keys=keys)
        self.arrive("_all/dn/trust", sign_trust_list(trust, ROOT, ROOTS))

    def arrive(self, topic, payload):
        self.mailbox.arrivals.append(Arrival(f"v1/main/{topic}", payload, 1, 1, False, 1))
        self.authority.step()

    def renew(self, key=KEY, *, hand_over_s=HUB_TIMINGS.hand_over_s):
        """Exchange requests and replies until none is left; then let time pass."""
        self.monotonic_s += RENEW_S
        self.authority.step()
        while requests := [
            payload
            for topic, payload in self.mailbox.published
            if topic.endswith("hub-shop-1/up/req")
        ]:
            self.mailbox.published.clear()
            request = codec.decode(LeaseRequest, requests[-1])
            with self.platform.transaction() as connection:
                given = site_leases.grant_lease(
                    connection, request, holder="hub-shop-1", lease_s=LEASE_S, now_s=self.now_s
                )
            self.arrive(
                "hub-shop-1/dn/res", codec.encode(site_leases.lease_reply(request, given, key))
            )
        self.monotonic_s += hand_over_s
        return self

    def site_reply(self):
        """Return the site authority's reply to a claim, or None."""
        self.requests += 1
        self.mailbox.published.clear()
        request = GrantRequest(
            dev="kiosk-1",
            id=f"r{self.requests}",
            cti=CTI,
            quantity=1,
            order_quantity=1,
            epoch="e",
            number=self.requests,
        )
        self.arrive("kiosk-1/up/req", codec.encode(request))
        replies = [
            payload for topic, payload in self.mailbox.published if topic.endswith("kiosk-1/dn/res")
        ]
        return (
            codec.decode_addressed(Response, replies[0], dev="kiosk-1").result if replies else None
        )

    def platform_is_silent(self):
        with self.platform.read() as connection:
            return site_leases.is_out(connection, "shop-1", self.now_s)


def event(seq, type, **body):
    return Event(seq=seq, id=f"id-{seq}", ts=NOW_S, ts_trust="trusted", type=type, body=body)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path).renew()


def test_a_lease_is_answered_under_until_the_second_it_ends(site):
    site.now_s = NOW_S + LEASE_S - 1
    assert site.site_reply() is AuthorisationResult.GRANTED
    site.now_s = NOW_S + LEASE_S
    assert site.site_reply() is None


def test_the_platform_speaks_again_a_margin_after_the_end_and_not_before(site):
    for after_s, silent in (
        (0, True),
        (LEASE_S, True),
        (LEASE_S + MARGIN_S - 1, True),
        (LEASE_S + MARGIN_S, False),
    ):
        site.now_s = NOW_S + after_s
        assert site.platform_is_silent() is silent


@pytest.mark.parametrize("slow_s", [0, MARGIN_S - 1, -86_400])
def test_at_no_time_do_both_answer_while_the_holders_clock_is_slow_by_less_than_the_margin(
    site, slow_s
):
    for at_s in range(NOW_S, NOW_S + LEASE_S + 2 * MARGIN_S, 7):
        site.now_s = at_s
        silent = site.platform_is_silent()
        site.now_s = at_s - slow_s
        assert silent or not site.authority.is_replying
    assert not silent


def test_a_new_holder_waits_until_the_platforms_last_grants_are_used_or_have_expired(tmp_path):
    """The lease carries no record of it. Later the site hears that its authority is online."""
    site = Site(tmp_path).renew(hand_over_s=HUB_TIMINGS.hand_over_s - 0.1)
    assert HUB_TIMINGS.hand_over_s > REPLY_DEADLINE_S + USE_WITHIN_NS / 1e9
    assert site.site_reply() is None
    site.monotonic_s += 0.2
    site.mailbox.published.clear()
    site.authority.step()
    assert [
        b"authority_online" in payload
        for topic, payload in site.mailbox.published
        if topic.endswith("site-shop-1/dn/cmd")
    ] == [True]
    assert site.site_reply() is AuthorisationResult.GRANTED


def test_so_it_does_when_its_lease_was_over_and_not_when_it_goes_on(site):
    site.renew(hand_over_s=0)
    assert site.site_reply() is AuthorisationResult.GRANTED
    site.now_s = NOW_S + LEASE_S
    site.renew(hand_over_s=0)
    assert site.site_reply() is None


def test_a_lease_that_is_renewed_goes_on_in_its_term(site):
    site.now_s = NOW_S + LEASE_S - 1
    site.renew()
    site.now_s = NOW_S + LEASE_S
    assert site.site_reply() is AuthorisationResult.GRANTED
    assert site.platform_is_silent()


def test_the_key_of_a_site_gives_no_lease(tmp_path):
    """A shop could otherwise extend its authority for ever, or grant another shop's."""
    assert Site(tmp_path).renew(SITES).site_reply() is None


def test_another_holder_gets_a_lease_only_when_the_last_one_is_over_and_then_in_a_new_term(site):
    def asks(now_s):
        request = LeaseRequest(id="r", site="shop-1")
        with site.platform.transaction() as connection:
            return site_leases.grant_lease(
                connection, request, holder="hub-new", lease_s=LEASE_S, now_s=now_s
            )

    assert "hub-shop-1 holds term 1" in asks(NOW_S + LEASE_S + MARGIN_S - 1).detail
    assert asks(NOW_S + LEASE_S + MARGIN_S).term == 2


def test_an_end_that_has_come_is_kept_across_a_restart(site, tmp_path):
    """The lease is in the store: an authority restarted after its end is silent until renewal."""
    site.own.close()
    again = Site(tmp_path)
    again.now_s = NOW_S + LEASE_S
    assert again.site_reply() is None
    assert again.renew().site_reply() is AuthorisationResult.GRANTED


def test_a_platform_that_speaks_again_grants_by_its_own_books(site):
    site.now_s = NOW_S + LEASE_S + MARGIN_S
    request = GrantRequest(dev="kiosk-1", id="r", cti=CTI, quantity=1, epoch="e", number=1)
    with site.platform.transaction() as connection:
        ruling = grants.arbitrate(connection, request, site="shop-1", now_s=site.now_s)
    assert ruling.result is AuthorisationResult.UNKNOWN


def test_what_came_with_a_lease_is_taken_back_by_its_name_and_by_no_other_stores_reversal(tmp_path):
    """The platform knows of a use; an earlier store of the device reverses it at the shop."""
    line = order_lines.OrderLine(
        cti=CTI, order_id="A-1", kind="write_off", home_site="shop-1", quantity=2
    )
    use = {"cti": CTI, "use": 1, "units": 1}
    site = Site(tmp_path)
    with site.platform.transaction() as connection:
        order_lines.put_lines(connection, [line], NOW_S * 1_000_000)
        ingest.ingest_batch(
            connection, Batch("kiosk-1", "e2", 0, 0, (event(1, "redeemed", **use),)), NOW_S
        )
    site.renew()

    def used(*events, epoch):
        with site.own.transaction() as connection:
            ingest.ingest_batch(connection, Batch("kiosk-1", epoch, 0, 0, events), NOW_S)
            return redemption_table.total_redeemed(connection, bytes.fromhex(CTI))[0]

    assert used(epoch="e2") == 1
    assert used(event(9, "reversed", **use, redemption_event="id-of-old"), epoch="e1") == 1
    assert used(event(1, "redeemed", **use), epoch="e2") == 1, "the device tells the shop, too"
    assert used(event(2, "reversed", **use, redemption_event="id-1"), epoch="e2") == 0


def given_back(site):
    """Return the redemptions that the site's authority gives back to a device; None: no reply."""
    site.mailbox.published.clear()
    site.arrive("kiosk-1/up/req", codec.encode(RestoreRequest(dev="kiosk-1", id="r")))
    replies = [raw for topic, raw in site.mailbox.published if topic.endswith("kiosk-1/dn/res")]
    if not replies:
        return None
    signed = b64decode(codec.decode_reply(replies[0], dev="kiosk-1").signed)
    page = RESTORE_PAGE.read_unverified(signed)
    assert (page.authority, page.site, page.last) == ("hub-shop-1", "shop-1", True)
    return [(row.device, row.event_id) for row in page.rows]


def test_a_device_gets_its_ledger_back_from_an_authority_that_knows_all_of_it(tmp_path):
    """After a start it may have missed events, and a device without a store cannot show that."""
    line = order_lines.OrderLine(cti=CTI, order_id="A-1", kind="write_off", home_site="shop-1")
    use = {"cti": CTI, "use": 1, "units": 1}
    site = Site(tmp_path)
    with site.platform.transaction() as connection:
        order_lines.put_lines(connection, [line], NOW_S * 1_000_000)
        ingest.ingest_batch(
            connection, Batch("kiosk-1", "e1", 0, 0, (event(1, "redeemed", **use),)), NOW_S
        )
    assert given_back(site) is None, "it has no lease"
    assert given_back(site.renew()) == [("kiosk-1", "id-1")]
    site.own.close()
    again = Site(tmp_path)
    again.arrive("kiosk-1/up/evt", codec.encode_batch("kiosk-1", "e2", 0, 0, []))
    again.monotonic_s += HUB_TIMINGS.hand_over_s
    assert again.site_reply() is AuthorisationResult.SPENT, "it grants by what it has"
    assert given_back(again) is None
    again.own.close()
    assert given_back(Site(tmp_path).renew()) == [("kiosk-1", "id-1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mqtt", "configuration: not TOML: "),
        ('site = "\xe9"'.encode("latin-1"), "not UTF-8 text; save it as UTF-8"),
        ('site = "shop-1"', "id: Field required"),
        ('site = "shop-1"\nport = 1', "port: Extra inputs are not permitted"),
        ("a = " + "[" * 9999, "nested more than 16 deep"),
        (None, "configuration: cannot be read: No such file or directory"),
    ],
)
def test_an_invalid_configuration_is_reported_with_what_is_wrong(tmp_path, text, message):
    file = tmp_path / "authority.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = CliRunner().invoke(command, ["run", "--config", str(file)])
    assert done.exit_code == 1
    assert message in done.output
    assert str(file) in done.output
