"""The parts of a device's policy that a scan needs."""

from __future__ import annotations

from edge.config import Profile
from edge.token.claims import Kind
from edge.token.verification import VerifyPolicy


def audiences_of(profile: Profile) -> frozenset[str]:
    """What a token's ``aud`` may name to be meant for this device: its site, and its groups."""
    return frozenset({profile.device.site, *profile.device.groups})


def verify_policy_of(profile: Profile) -> VerifyPolicy:
    """How much the profile lets this device believe."""
    unsure = frozenset(Kind[kind.upper()] for kind in profile.policy.floor_only_kinds)
    return VerifyPolicy(
        issuers=frozenset(profile.trust.issuers),
        floor_only_kinds=unsure | {Kind.OPERATOR},  # behind a badge stands its PIN
        trust_list_max_age_s=profile.policy.trust_list_max_age_s,
        status_list_max_age_s=profile.policy.status_list_max_age_s,
    )
