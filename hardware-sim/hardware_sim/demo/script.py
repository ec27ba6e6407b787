"""Steps of the demonstration: which code is shown, how, and the expected result."""

from __future__ import annotations

from dataclasses import dataclass

from edge.domain.verdict import Verdict
from edge.feedback.signals import Reason
from edge.token.rejection import Rejection


@dataclass(frozen=True, slots=True)
class DemoStep:
    """A person holds a code before the lens."""

    zh: str
    en: str
    code: str  # a name in ``SamplePlatform.codes``
    condition: str  # a name in ``hardware_sim.vision.view_condition.PRESETS``
    expected: Reason


ONLINE = (
    DemoStep("取件码", "pickup code", "pickup", "tilted", Verdict.ACCEPTED),
    DemoStep("核销券", "voucher", "voucher", "phone screen", Verdict.ACCEPTED),
    DemoStep(
        "再次出示同一张券",
        "the same voucher again",
        "voucher",
        "phone screen",
        Verdict.ALREADY_REDEEMED,
    ),
    DemoStep("伪造的码", "forged code", "forged", "clean", Rejection.SIGNATURE_INVALID),
    DemoStep("过期的码", "expired code", "expired", "noisy", Rejection.EXPIRED),
    DemoStep("其他站点的码", "code of another site", "wrong site", "tilted", Rejection.AUDIENCE),
    DemoStep(
        "未知密钥签发的码", "code of an unknown key", "unknown key", "clean", Rejection.KEY_UNKNOWN
    ),
    DemoStep("已撤销的码", "revoked code", "revoked", "phone screen", Rejection.REVOKED),
    DemoStep("另一张核销券", "another voucher", "glare", "glare", Verdict.ACCEPTED),
    DemoStep("无关的二维码", "foreign QR code", "foreign", "clean", Rejection.PREFIX_UNKNOWN),
    DemoStep(
        "待复核的高风险订单",
        "risky order, to be reviewed",
        "risky",
        "blurred",
        Verdict.ACCEPTED_PENDING_REVIEW,
    ),
    DemoStep(
        "已取消的订单", "cancelled order", "cancelled", "upside down", Verdict.ORDER_CANCELLED
    ),
    DemoStep(
        "尚未备好的订单", "order that is not ready", "not ready", "smeared", Verdict.NOT_READY
    ),
)
OFFLINE = (
    DemoStep("断网时核销", "voucher, offline", "offline 1", "dark", Verdict.ACCEPTED),
    DemoStep("断网时取件", "pickup, offline", "offline 2", "banded", Verdict.ACCEPTED),
    DemoStep(
        "断网时再次出示",
        "the same again, offline",
        "offline 1",
        "clean",
        Verdict.ALREADY_REDEEMED,
    ),
    DemoStep("断网时核销", "voucher, offline", "offline 3", "hard", Verdict.ACCEPTED),
)
