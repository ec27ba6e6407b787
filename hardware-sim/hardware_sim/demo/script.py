"""What happens in the demonstration, as data: who shows what, how it looks, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.domain.verdict import Verdict
from edge.feedback.signals import Reason
from edge.token.rejection import Rejection


@dataclass(frozen=True, slots=True)
class Showing:
    """Somebody holds a code before the lens."""

    zh: str
    en: str
    code: str  # a name in ``Town.codes``
    condition: str  # a name in ``hardware_sim.vision.view_condition.PRESETS``
    expected: Reason


ONLINE = (
    Showing("取件", "pickup, tilted", "pickup", "tilted", Verdict.ACCEPTED),
    Showing("核销券", "voucher on a phone", "voucher", "phone screen", Verdict.ACCEPTED),
    Showing(
        "同一张券再次出示",
        "the same voucher again",
        "voucher",
        "phone screen",
        Verdict.ALREADY_REDEEMED,
    ),
    Showing("伪造的码", "forged", "forged", "clean", Rejection.SIGNATURE_INVALID),
    Showing("过期的码", "expired", "expired", "noisy", Rejection.EXPIRED),
    Showing("其他站点的码", "another site's", "wrong site", "tilted", Rejection.AUDIENCE),
    Showing("未知密钥", "unknown key", "unknown key", "clean", Rejection.KEY_UNKNOWN),
    Showing("已撤销的码", "revoked", "revoked", "phone screen", Rejection.REVOKED),
    Showing("反光下的券", "voucher under glare", "glare", "glare", Verdict.ACCEPTED),
    Showing("外来二维码", "foreign QR code", "foreign", "clean", Rejection.PREFIX_UNKNOWN),
    Showing(
        "高风险订单", "risky order, to review", "risky", "blurred", Verdict.ACCEPTED_PENDING_REVIEW
    ),
    Showing("已取消的订单", "cancelled order", "cancelled", "upside down", Verdict.ORDER_CANCELLED),
    Showing("未备好的订单", "order not ready", "not ready", "smeared", Verdict.NOT_READY),
)
OFFLINE = (
    Showing("断网核销", "voucher, no network", "offline 1", "dark", Verdict.ACCEPTED),
    Showing("断网取件", "pickup, no network", "offline 2", "banded", Verdict.ACCEPTED),
    Showing(
        "断网重复出示", "the same again, no network", "offline 1", "clean", Verdict.ALREADY_REDEEMED
    ),
    Showing("断网核销", "voucher, no network", "offline 3", "hard", Verdict.ACCEPTED),
)
