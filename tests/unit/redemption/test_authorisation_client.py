"""A scanner waits for a reply up to its deadline, and hardly at all after a silence."""

import time

import pytest

from edge.domain.authorisation import AuthorisationResult
from edge.redemption.authorisation_client import REPLY_DEADLINE_S, AuthorisationClient
from edge.store import authorisations
from edge.store.authorisations import AuthorisationReply, AuthorisationRequest
from edge.store.online_flag import OnlineFlag
from edge.store.opening import open_for_work
from tests.support.sample_shop import NOON, open_at

S = 10**9


@pytest.fixture
def store(tmp_path):
    store = open_at(tmp_path)
    yield store
    store.close()


@pytest.fixture
def flag(store):
    with OnlineFlag(store.path.parent) as flag:
        flag.set(True)
        yield flag


class Scanner:
    """A client on a clock of the test's own. ``reply_after_s`` None: edge-sync stays silent."""

    def __init__(self, store):
        self.now_ns, self.number, self.reply_after_s = 100 * S, 0, None
        self.client = AuthorisationClient(
            store, monotonic_ns=lambda: self.now_ns, sleep=self._sleep
        )
        self.other_process = open_for_work(store.path.parent)

    def _sleep(self, seconds):
        self.now_ns += int(seconds * S)
        waited_ns = self.now_ns - self.began_ns
        if self.reply_after_s is not None and waited_ns >= self.reply_after_s * S:
            reply = AuthorisationReply(id=f"r{self.number}", result=AuthorisationResult.GRANTED)
            authorisations.record_reply(self.other_process, reply, self.now_ns)

    def waits_s(self):
        self.number += 1
        self.began_ns = self.now_ns
        due_ns = self.began_ns + int(REPLY_DEADLINE_S * S)
        request = AuthorisationRequest(id=f"r{self.number}", cti=bytes(16), due_ns=due_ns)
        reply = self.client.request(request, NOON)
        assert (reply is not None) is (self.reply_after_s is not None)
        return (self.now_ns - self.began_ns) / S


@pytest.fixture
def scanner(store):
    scanner = Scanner(store)
    yield scanner
    scanner.other_process.close()


def test_offline_nothing_is_written_and_nothing_waits(store):
    client = AuthorisationClient(store, sleep=lambda _: pytest.fail("waited"))
    request = AuthorisationRequest(id="r9", cti=bytes(16), due_ns=time.monotonic_ns() + S)
    assert client.request(request, NOON) is None
    assert authorisations.open_requests(store, 0) == []


def test_an_authority_that_hangs_costs_one_scan_its_deadline_and_the_next_ones_little(
    flag, scanner
):
    assert scanner.waits_s() == pytest.approx(1.5, abs=0.01)
    assert max(scanner.waits_s() for _ in range(4)) < 0.2


def test_an_authority_that_hung_gets_the_whole_deadline_again_once_it_replies(flag, scanner, store):
    scanner.waits_s()
    scanner.waits_s()
    late = AuthorisationReply(id="r2", result=AuthorisationResult.UNKNOWN)
    authorisations.record_reply(store, late, scanner.now_ns)
    scanner.reply_after_s = 1.0
    assert scanner.waits_s() == pytest.approx(1.0, abs=0.01)
    assert scanner.waits_s() == pytest.approx(1.0, abs=0.01)


def test_an_edge_sync_that_restarted_gets_the_whole_deadline_again(flag, scanner):
    scanner.waits_s()
    flag.set(False)
    assert scanner.waits_s() == 0
    flag.set(True)
    assert scanner.waits_s() == pytest.approx(1.5, abs=0.01)
