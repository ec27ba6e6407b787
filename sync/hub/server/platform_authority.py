"""The platform's authority: decides the grants of a site, or leases that to the site's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from edge.token.keys import Signer
from edge.values.node_name import HUB
from sync.hub.arbitration import grants, site_leases
from sync.hub.config import HubAuthority
from sync.hub.ledger import restore_pages
from sync.hub.orders import hold
from sync.hub.server.refusal_counter import RefusalCounter
from sync.hub.store.interface import HubConnection
from sync.wire import codec
from sync.wire.messages import GrantRequest, MessageRefusal, RestoreRequest
from sync.wire.site_lease import Lease, LeaseRequest

HUB_HELD: Final = "hub_held"
_HELD: Final = "no grants until a person resumes the hub: edge-hub resume"
_NO_KEY: Final = "put grant.pem of the fleet's keys beside order_feed.pem"
_NO_SITE: Final = "name the device and its site in the hub's configuration, or enrol it"


class PlatformAuthority:
    """Replies to grant and lease requests. Without a signer it replies to none.

    ``now_s`` is Unix time.
    """

    def __init__(
        self,
        signer: Signer | None,
        site_authorities: Iterable[HubAuthority],
        *,
        site_of: Callable[[str], str | None],
        now_s: Callable[[], int],
        refusals: RefusalCounter,
    ) -> None:
        self._signer = signer
        self._site_authorities = {authority.id: authority for authority in site_authorities}
        self._site_of = site_of
        self._now_s = now_s
        self._refusals = refusals

    def site_of_authority(self, node: str) -> str | None:
        """Return the site whose lease ``node`` may ask for; None for any other node."""
        authority = self._site_authorities.get(node)
        return None if authority is None else authority.site

    def decides_for(self, connection: HubConnection, dev: str) -> bool:
        """Return whether the platform itself decides the grants of this device now."""
        site = self._site_of(dev)
        if site is None or self._signer is None or hold.is_held(connection):
            return False
        return not site_leases.is_out(connection, site, self._now_s())

    def handle_grant_request(
        self, connection: HubConnection, request: GrantRequest
    ) -> bytes | None:
        """Return the response to a grant request.

        None while another authority has the site, and while the hub is held.
        """
        site, signer = self._site_of(request.dev), self._signer
        if site is None:
            self._refusals.add("device_without_site", request.dev, _NO_SITE)
            return None
        if signer is None:
            self._refusals.add("grant_key_missing", request.dev, _NO_KEY)
            return None
        now_s = self._now_s()
        if site_leases.is_out(connection, site, now_s):
            return None
        if hold.is_held(connection):
            self._refusals.add(HUB_HELD, request.dev, _HELD)
            return None
        decision = grants.arbitrate(connection, request, site=site, now_s=now_s)
        response = grants.grant_response(
            request, decision, site=site, authority=HUB, signer=signer, now_s=now_s
        )
        return codec.encode(response)

    def handle_restore_request(
        self, connection: HubConnection, request: RestoreRequest
    ) -> bytes | None:
        """Return a page of what a device has lost. A lease of its site makes no difference."""
        site = self._site_of(request.dev)
        if site is None:
            self._refusals.add("device_without_site", request.dev, _NO_SITE)
            return None
        if self._signer is None:
            self._refusals.add("grant_key_missing", request.dev, _NO_KEY)
            return None
        if hold.is_held(connection):  # what it lacks may be what this device redeemed
            self._refusals.add(HUB_HELD, request.dev, _HELD)
            return None
        page = restore_pages.restore_page(
            connection, request, site=site, authority=HUB, now_s=self._now_s()
        )
        return codec.encode(restore_pages.restore_reply(page, self._signer))

    def handle_lease_request(
        self, connection: HubConnection, node: str, payload: bytes
    ) -> bytes | None:
        """Return the reply to a lease request of a site authority.

        None for an invalid request, and while the hub is held.
        """
        authority, signer = self._site_authorities[node], self._signer
        request = codec.decode(LeaseRequest, payload)
        if isinstance(request, MessageRefusal):
            self._refusals.add("lease_request", node, request.detail)
            return None
        if request.site != authority.site:
            detail = f"it asks for {request.site}, and its site is {authority.site}"
            self._refusals.add("lease_request", node, detail)
            return None
        if signer is None:
            self._refusals.add("grant_key_missing", node, _NO_KEY)
            return None
        if hold.is_held(connection):
            self._refusals.add(HUB_HELD, node, _HELD)
            return None
        given = site_leases.grant_lease(
            connection, request, holder=node, lease_s=authority.lease_s, now_s=self._now_s()
        )
        if isinstance(given, Lease):
            at_site = tuple(item for item in given.streams if self._site_of(item[0]) == given.site)
            given = replace(given, streams=at_site)
        return codec.encode(site_leases.lease_reply(request, given, signer))
