"""What happens in the demonstration, as data: who shows what, how it looks, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

from edge.domain.verdict import Verdict
from edge.feedback.signals import Reason
from edge.token.rejection import Rejection


@dataclass(frozen=True, slots=True)
class DemoStep:
    """Somebody holds a code before the lens."""

    zh: str
    en: str
    code: str  # a name in ``Town.codes``
    condition: str  # a name in ``hardware_sim.vision.view_condition.PRESETS``
    expected: Reason


ONLINE = (
    DemoStep("取件", "pickup, tilted", "pickup", "tilted", Verdict.ACCEPTED),
    DemoStep("核销券", "voucher on a phone", "voucher", "phone screen", Verdict.ACCEPTED),
    DemoStep(
        "同一张券再次出示",
        "the same voucher again",
        "voucher",
        "phone screen",
        Verdict.ALREADY_REDEEMED,
    ),
    DemoStep("伪造的码", "forged", "forged", "clean", Rejection.SIGNATURE_INVALID),
    DemoStep("过期的码", "expired", "expired", "noisy", Rejection.EXPIRED),
    DemoStep("其他站点的码", "another site's", "wrong site", "tilted", Rejection.AUDIENCE),
    DemoStep("未知密钥", "unknown key", "unknown key", "clean", Rejection.KEY_UNKNOWN),
    DemoStep("已撤销的码", "revoked", "revoked", "phone screen", Rejection.REVOKED),
    DemoStep("反光下的券", "voucher under glare", "glare", "glare", Verdict.ACCEPTED),
    DemoStep("外来二维码", "foreign QR code", "foreign", "clean", Rejection.PREFIX_UNKNOWN),
    DemoStep(
        "高风险订单", "risky order, to review", "risky", "blurred", Verdict.ACCEPTED_PENDING_REVIEW
    ),
    DemoStep(
        "已取消的订单", "cancelled order", "cancelled", "upside down", Verdict.ORDER_CANCELLED
    ),
    DemoStep("未备好的订单", "order not ready", "not ready", "smeared", Verdict.NOT_READY),
)
OFFLINE = (
    DemoStep("断网核销", "voucher, no network", "offline 1", "dark", Verdict.ACCEPTED),
    DemoStep("断网取件", "pickup, no network", "offline 2", "banded", Verdict.ACCEPTED),
    DemoStep(
        "断网重复出示", "the same again, no network", "offline 1", "clean", Verdict.ALREADY_REDEEMED
    ),
    DemoStep("断网核销", "voucher, no network", "offline 3", "hard", Verdict.ACCEPTED),
)
