"""The message for every reason code, in Chinese and English: what happened and what to do next.

One table for the screen, the command line and the documentation (law 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.domain.verdict import Verdict as V
from edge.feedback.signals import Reason
from edge.operators.sign_in_result import SignInResult as S
from edge.ports import Hint
from edge.token.rejection import Rejection as R


@dataclass(frozen=True, slots=True)
class ResultMessage:
    """A message to a person. Each language says what happened and what to do next."""

    zh: str
    en: str


_FORGED = ResultMessage(
    "二维码无法验证，请勿核销，联系主管",
    "Code cannot be verified. Do not accept it; call a supervisor",
)
_DAMAGED = ResultMessage(
    "二维码不完整或被改动，请在应用中重新打开",
    "Code is damaged or altered. Open it again in the app",
)
_FOREIGN = ResultMessage(
    "这不是本平台的订单码，请出示订单二维码",
    "Not one of our order codes. Show the code of your order",
)
_LISTS = ResultMessage(
    "设备名单已过期，请连接网络后重试",
    "The device's lists are out of date. Connect it to the network",
)
_SCREENSHOT = ResultMessage(
    "请打开应用出示动态码，截图无效",
    "Open the app and show the live code; a screenshot does not work",
)

# "expired" and "revoked" are one code each, whether the token or the order says so:
# the members of the two enums are equal.
MESSAGES: Final[dict[Reason, ResultMessage]] = {
    V.ACCEPTED: ResultMessage("已通过", "Accepted"),
    V.ACCEPTED_PENDING_REVIEW: ResultMessage(
        "已登记，等待第二人复核", "Accepted, awaiting a second person's review"
    ),
    V.WRONG_SITE: ResultMessage(
        "此订单不在本站点，请到订单所示站点",
        "This order belongs to another site. See the order for where",
    ),
    V.WRONG_KIND: ResultMessage("此码不能在本设备使用", "This kind of code is not for this device"),
    V.DATA_ERROR: ResultMessage(
        "订单资料不一致，未核销，请联系客服",
        "The code and the order do not agree; nothing was redeemed. Contact support",
    ),
    V.REVOKED: ResultMessage("此码已被撤销，请联系客服", "This code was revoked. Contact support"),
    V.CAMPAIGN_WITHDRAWN: ResultMessage(
        "活动已下线，此券不可用", "The campaign was withdrawn; this voucher is void"
    ),
    V.ORDER_CANCELLED: ResultMessage("订单已取消", "The order was cancelled"),
    V.ORDER_REFUNDED: ResultMessage("订单已退款", "The order was refunded"),
    V.NOT_PAID: ResultMessage("订单未付清，请先付款", "The order is not paid in full. Pay first"),
    V.NOT_READY: ResultMessage(
        "订单尚未备好，请稍后再来", "The order is not ready yet. Come back later"
    ),
    V.TOO_EARLY: ResultMessage("未到可用时间", "Too early: not open for this order yet"),
    V.EXPIRED: ResultMessage("此码已过期，请联系客服", "This code has expired. Contact support"),
    V.RULE_FAILED: ResultMessage("不符合使用条件", "A condition of this order is not met"),
    V.ALREADY_REDEEMED: ResultMessage(
        "已使用过，不可重复核销", "Already used; it cannot be used again"
    ),
    V.QUANTITY_EXCEEDED: ResultMessage(
        "超过剩余次数或金额", "More than what is left on this order"
    ),
    V.OVER_FLOOR_LIMIT: ResultMessage(
        "超过离线限额，请联网后重试", "Over the offline limit. Try again when online"
    ),
    V.NEEDS_ONLINE: ResultMessage(
        "需要联网确认，请稍后重试", "Needs the network to confirm. Try again shortly"
    ),
    V.OPERATOR_REQUIRED: ResultMessage("请工作人员先登录", "Staff must sign in first"),
    V.OPERATOR_FORBIDDEN: ResultMessage("当前人员无此权限", "The signed-in person may not do this"),
    V.BLOCKED_DEVICE: ResultMessage(
        "设备已停用，请联系运维", "This device is blocked. Call operations"
    ),
    V.STORE_UNAVAILABLE: ResultMessage(
        "设备存储故障，未核销，请联系运维", "Storage fault; nothing was redeemed. Call operations"
    ),
    R.TOO_LONG: _FOREIGN,
    R.PREFIX_UNKNOWN: _FOREIGN,
    R.BASE45_INVALID: _DAMAGED,
    R.CBOR_TRUNCATED: _DAMAGED,
    R.CBOR_TRAILING: _DAMAGED,
    R.CBOR_NOT_SHORTEST: _DAMAGED,
    R.CBOR_INDEFINITE: _DAMAGED,
    R.CBOR_KEY_ORDER_OR_DUPLICATE: _DAMAGED,
    R.CBOR_TYPE: _DAMAGED,
    R.CBOR_DEPTH: _DAMAGED,
    R.CBOR_UTF8: _DAMAGED,
    R.COSE_STRUCTURE: _DAMAGED,
    R.UNPROTECTED_NOT_EMPTY: _DAMAGED,
    R.HEADER_SET: _DAMAGED,
    R.KEY_UNKNOWN: ResultMessage(
        "签发密钥未知，请联网更新后重试",
        "Signed by an unknown key. Connect the device and try again",
    ),
    R.KEY_WINDOW: ResultMessage(
        "签发密钥不在有效期内，请联系客服", "The signing key is outside its dates. Contact support"
    ),
    R.KEY_SCOPE: _FORGED,
    R.ALG_MISMATCH: _FORGED,
    R.SIGNATURE_INVALID: _FORGED,
    R.CLAIM_MISSING: _FORGED,
    R.CLAIM_TYPE: _FORGED,
    R.CLAIM_RANGE: _FORGED,
    R.ISSUER: ResultMessage("签发方不被本设备接受", "This device does not accept that issuer"),
    R.AUDIENCE: ResultMessage(
        "此码属于其他站点，请到订单所示站点",
        "This code is for another site. See the order for where",
    ),
    R.NOT_YET_VALID: ResultMessage("未到生效时间，请稍后再来", "Not valid yet. Come back later"),
    R.TIME_UNTRUSTED: ResultMessage(
        "设备时间未校准，暂不能核销",
        "The device's clock is not set. It cannot redeem this code yet",
    ),
    R.TRUST_LIST_STALE: _LISTS,
    R.STATUS_STALE: _LISTS,
    R.DYNAMIC_MISSING: _SCREENSHOT,
    R.DYNAMIC_STALE: _SCREENSHOT,
    R.DYNAMIC_INVALID: _FORGED,
    R.HOLDER_PROOF: _SCREENSHOT,
    S.BADGE_NOT_SHOWN: ResultMessage(
        "请先出示工牌，再输入密码", "Show the badge first, then enter its PIN"
    ),
    S.OPERATOR_LIST_MISSING: ResultMessage(
        "设备没有人员名单，请联网后重试", "This device has no operator list yet. Connect it"
    ),
    S.OPERATOR_LIST_STALE: ResultMessage(
        "人员名单已过期，请联网更新", "The operator list has expired. Connect the device"
    ),
    S.OPERATOR_UNKNOWN: ResultMessage(
        "此工牌不能在本设备登录，请联系主管", "This badge may not sign in here. See a supervisor"
    ),
    S.OPERATOR_LOCKED_OUT: ResultMessage(
        "密码错误次数过多，已锁定，请联系主管", "Too many wrong PINs. Wait, or ask a supervisor"
    ),
    S.PIN_NEEDED: ResultMessage("请输入密码", "Enter the PIN of this badge"),
    S.PIN_WRONG: ResultMessage("密码错误", "Wrong PIN"),
    S.SIGNED_IN: ResultMessage("已登录", "Signed in"),
    S.SIGNED_OUT: ResultMessage("已退出登录", "Signed out"),
}


HINTS: Final[dict[Hint, ResultMessage]] = {
    Hint.TOO_FAR: ResultMessage("请靠近一点", "Hold the code closer"),
    Hint.TOO_DARK: ResultMessage(
        "请调亮屏幕或移到亮处", "Turn up the screen, or move into the light"
    ),
    Hint.GLARE: ResultMessage("请转动避开反光", "Turn it away from the glare"),
    Hint.BLURRED: ResultMessage("请拿稳", "Hold it still"),
    Hint.CUT_OFF: ResultMessage("请将整个二维码放入画面", "Show the whole code"),
}


def message_for(reason: Reason) -> ResultMessage:
    """Return the message for ``reason``.

    >>> message_for(V.NOT_PAID).en
    'The order is not paid in full. Pay first'
    """
    return MESSAGES[reason]
