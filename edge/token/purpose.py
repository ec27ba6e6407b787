"""What a signature is for. A signature made for one purpose never holds for another."""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    """Each kind of thing that the platform signs, with a key and a domain of its own."""

    TOKEN = "token"  # noqa: S105 - a name, not a secret
    ROOT = "root"  # a root rotation
    TRUST_LIST = "trust_list"
    STATUS_LIST = "status_list"
    ORDER_FEED = "order_feed"
    CONFIGURATION = "configuration"
    ENROLMENT = "enrolment"
    OPERATORS = "operators"  # who may sign in at devices, and the hashes of their PINs
    REVIEW = "review"  # a person's decision about a redemption; the trust list says whose key it is
    GRANT = "grant"  # permission for one device to redeem one entitlement now

    @property
    def external_aad(self) -> bytes:
        """Return the domain-separation string under every signature (RFC 9052 section 4.3).

        >>> Purpose.TRUST_LIST.external_aad
        b'edge-scanner/1/trust_list'
        """
        return b"edge-scanner/1/" + self.value.encode()
