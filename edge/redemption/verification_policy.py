"""The parts of a device's profile that verification needs."""

from __future__ import annotations

from edge.config import Profile
from edge.token.claims import Kind
from edge.token.verification import VerifyPolicy


def audiences_of(profile: Profile) -> frozenset[str]:
    """Return the values of a token's ``aud`` that name this device: its site and its groups."""
    return frozenset({profile.device.site, *profile.device.groups})


def verify_policy_of(profile: Profile) -> VerifyPolicy:
    """Return the conditions under which the profile accepts a signature."""
    unsure = frozenset(Kind[kind.upper()] for kind in profile.policy.floor_only_kinds)
    return VerifyPolicy(
        issuers=frozenset(profile.trust.issuers),
        floor_only_kinds=unsure | {Kind.OPERATOR},  # a badge needs its PIN, too
        trust_list_max_age_s=profile.policy.trust_list_max_age_s,
        status_list_max_age_s=profile.policy.status_list_max_age_s,
    )
