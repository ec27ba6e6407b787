"""JSON Schemas of signed documents: of the CBOR under the signature, in a form that JSON can hold.

In that form a map's integer labels are decimal strings, and a byte string is lower-case
hexadecimal.
"""

from __future__ import annotations

from typing import Any, Final

from edge.token import cbor, cose
from edge.token.cbor import Item
from sync.wire.messages import MAX_SEQ
from sync.wire.review_page import LONGEST_ROW

Schema = dict[str, Any]
_SECONDS: Final[Schema] = {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**33}
_VERSION: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": MAX_SEQ}
_TEXT: Final[Schema] = {"type": "string"}
_MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}


def json_form(item: Item) -> Any:
    r"""Return a CBOR item in the form that JSON can hold.

    >>> json_form({1: b"\x0a", 2: [True, None]})
    {'1': '0a', '2': [True, None]}
    """
    if isinstance(item, bytes):
        return item.hex()
    if isinstance(item, dict):
        return {str(label): json_form(value) for label, value in item.items()}
    return [json_form(value) for value in item] if isinstance(item, list) else item


def payload_of(document: bytes) -> Any:
    """Return what is under the signature of ``document``, **unverified**, in JSON's form.

    Raises InputRefused for a document that cannot be read.
    """
    payload = cose.parse(document, cose.STRICT).payload
    return json_form(cbor.decode(payload or b"", cbor.DOCUMENT_LIMITS))


def _octets(length: int | None = None) -> Schema:
    return {
        "type": "string",
        "pattern": f"^([0-9a-f]{{2}}){'*' if length is None else f'{{{length}}}'}$",
    }


def _described(schema: Schema, words: str) -> Schema:
    return {**schema, "description": words}


def _map(
    title: str, words: str, required: dict[str, Schema], optional: dict[str, Schema] | None = None
) -> Schema:
    return {
        "title": title,
        "description": words,
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


_ROW_FIELDS: Final[list[Schema]] = [
    _described(_octets(16), "cti, the identity of the entitlement"),
    _described(_TEXT, "order"),
    _described({"enum": [1, 2, 3]}, "kind: 1 write-off, 2 pickup (see docs/reference/token.md)"),
    _described(_MAYBE_TEXT, "home device; null: any device of the site may request a grant"),
    _described(
        {"enum": ["awaiting_payment", "paid", "ready", "shipped", "cancelled", "refunded"]},
        "status of the order",
    ),
    _described({"type": "integer", "minimum": 1, "exclusiveMaximum": 2**31}, "quantity"),
    _described(
        {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_SEQ},
        "amount in the currency's minor unit",
    ),
    _described(_MAYBE_TEXT, "currency, ISO 4217"),
    _described(_SECONDS, "not before"),
    _described(_SECONDS, "expires, exclusive"),
    _described({"type": "boolean"}, "a second person must approve"),
    _described({"type": "array", "items": _TEXT}, "compartments"),
    _described(_MAYBE_TEXT, "subject"),
    _described(_MAYBE_TEXT, "campaign"),
    _described(_MAYBE_TEXT, "rules"),
]
_ROW: Final[Schema] = {
    "type": "array",
    "items": _ROW_FIELDS,
    "additionalItems": False,
    "minItems": len(_ROW_FIELDS),
}
_REVISION: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": MAX_SEQ}
_PAGE: Final[dict[str, Schema]] = {
    "2": _described(_TEXT, "site"),
    "3": _described(_SECONDS, "issued at, Unix seconds"),
    "4": {"type": "array", "items": _ROW, "description": "rows: entitlements"},
    "13": _described(
        _octets(16), "incarnation of the hub's store (UUIDv7): revisions of two do not compare"
    ),
}
_CONFIRMED: Final[dict[str, Schema]] = {
    "14": {
        "type": "array",
        "prefixItems": [
            _described(_REVISION, "revision"),
            {"type": "integer", "minimum": 0, "maximum": MAX_SEQ, "description": "orders then"},
        ],
        "minItems": 2,
        "maxItems": 2,
        "description": "the newest state of the feed that a person has confirmed although it drops"
        " orders; absent: none",
    }
}
SNAPSHOT: Final = _map(
    "OrdersSnapshot",
    "A page of everything at a revision.",
    {
        "1": {"const": 1, "description": "a snapshot"},
        **_PAGE,
        "5": _described(_REVISION, "revision of the snapshot"),
        "6": {
            "type": "integer",
            "minimum": 0,
            "exclusiveMaximum": 2**31,
            "description": "number of the page, from 0",
        },
        "7": {"type": "boolean", "description": "the last page"},
    },
    _CONFIRMED,
)
DELTA: Final = _map(
    "OrdersDelta",
    "What changed after one revision up to another; there is more while that is below the head.",
    {
        "1": {"const": 2, "description": "a delta"},
        **_PAGE,
        "8": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_SEQ,
            "description": "from this revision",
        },
        "9": _described(_REVISION, "to this one"),
        "10": _described(_REVISION, "head: the newest there is"),
        "11": {"type": "array", "items": _octets(16), "description": "ctis that left the site"},
        "12": _described(
            _octets(32), "XOR of the SHA-256 of all rows of the feed at its head, each as CBOR"
        ),
    },
    _CONFIRMED,
)
REVIEWS: Final = _map(
    "ReviewPage",
    "Decisions of people at the platform on redemptions that wait for a second person"
    " (docs/explanation/reviews.md). The hub sends them again until it has the device's `review` or"
    " `review_refused` event. A device applies each decision once, by the signature of the person"
    " who made it, and never one of the person who scanned.",
    {
        "1": {"const": 3, "description": "decisions"},
        "2": _described(_TEXT, "site"),
        "3": _described(_SECONDS, "issued at, Unix seconds"),
        "4": {
            "type": "array",
            "items": {**_octets(), "maxLength": 2 * LONGEST_ROW},
            "description": "rows: ReviewDecisions, each as the person who made it signed it",
        },
    },
)
ORDERS: Final[Schema] = {"oneOf": [SNAPSHOT, DELTA, REVIEWS]}
REVIEW_DECISION: Final = _map(
    "ReviewDecision",
    "A person's decision on a redemption, signed for the purpose `review` with that person's own"
    " key, whose owner the trust list names. It travels as base64 in `args.decision` of a"
    " FleetRequest `review`.",
    {
        "1": _described(_TEXT, "tenant"),
        "2": _described(_TEXT, "device"),
        "3": _described(_TEXT, "epoch of the event that reported the redemption"),
        "4": _described(_REVISION, "number of that event"),
        "5": _described(_octets(16), "cti"),
        "6": {"type": "boolean", "description": "true: approved; false: rejected, with a reason"},
        "7": {"type": "string", "maxLength": 400, "description": "reason"},
        "8": _described(_SECONDS, "issued at"),
    },
)
TRUST_LIST: Final = _map(
    "TrustList",
    "The keys that a device trusts, signed by a root (docs/reference/signed-lists.md has the layout"
    " of a key).",
    {
        "1": _described(_VERSION, "version"),
        "2": _described(_SECONDS, "issued at"),
        "3": _described(_SECONDS, "expires, exclusive"),
        "4": {
            "type": "array",
            "items": {"type": "object"},
            "description": "keys, each with its purpose and window",
        },
    },
    {"5": {"description": "the roots that may sign the next list"}},
)
STATUS_LIST: Final = _map(
    "StatusList",
    "Which tokens of an issuer key are revoked (IETF Token Status List).",
    {
        "4": _described(_SECONDS, "expires"),
        "6": _described(_SECONDS, "issued at"),
        "-65538": _described(_octets(4), "kid of the issuer key"),
        "-65539": _described(_VERSION, "version"),
        "65533": _map(
            "StatusListBits",
            "The list.",
            {"bits": {"const": 1}, "lst": _described(_octets(), "zlib, one bit for each token")},
        ),
    },
)
OPERATOR_LIST: Final = _map(
    "OperatorList",
    "The operators who may sign in at a site's devices, with role and PIN hash"
    " (docs/reference/operators.md).",
    {
        "1": _described(_VERSION, "version"),
        "2": _described(_SECONDS, "issued at"),
        "3": _described(_SECONDS, "expires, exclusive"),
        "4": _described(_TEXT, "the site or device group"),
        "5": {
            "description": "the operators",
            "type": "array",
            "maxItems": 5000,
            "items": _map(
                "OperatorEntry",
                "A person.",
                {
                    "1": _described(_TEXT, "operator: the order of the badge"),
                    "2": _described(
                        {"enum": ["operator", "reviewer", "supervisor", "technician"]}, "role"
                    ),
                    "3": _described(
                        _TEXT,
                        "argon2id hash of the PIN, in PHC form: 19 to 128 MiB, 2 to 10 passes",
                    ),
                    "4": _described(_SECONDS, "not before"),
                    "5": _described(_SECONDS, "expires, exclusive"),
                },
            ),
        },
    },
)
SETTINGS: Final = _map(
    "Settings",
    "One layer of a device's settings (docs/explanation/settings.md).",
    {
        "1": _described(_TEXT, "tenant"),
        "2": _described({"enum": ["fleet", "group", "site", "device"]}, "layer"),
        "3": _described(_TEXT, "name of the group, site or device"),
        "4": _described(_VERSION, "rev"),
        "5": {"type": "integer", "minimum": 1, "description": "schema version of the content"},
        "6": _described(_TEXT, "smallest agent version"),
        "7": _described(_SECONDS, "not before"),
        "8": _described(_SECONDS, "expires"),
        "9": _described(_SECONDS, "probation in seconds"),
        "10": _described(_TEXT, "content: JSON text"),
    },
)
GRANT_REPLY: Final = _map(
    "GrantReply",
    "The reply to a grant request, signed for the purpose `grant`. It travels as base64 in `signed`"
    " of a Response.",
    {
        "1": _described(_TEXT, "device"),
        "2": _described(_TEXT, "id of the request"),
        "3": _described(_octets(16), "cti"),
        "4": _described(_TEXT, "result, as in the Response"),
        "5": {"type": "integer", "minimum": 0, "description": "quantity"},
        "6": _described(_TEXT, "site"),
        "7": _described(_TEXT, "the authority: the platform, or a site's own"),
        "8": _described(_SECONDS, "issued at"),
        "9": {
            "type": "integer",
            "minimum": 0,
            "description": "units that others have used or may still use",
        },
        "10": {
            "type": "integer",
            "minimum": 0,
            "description": "minor units of money that others have used",
        },
        "11": _described(_SECONDS, "when others last redeemed it; 0: never"),
        "12": {
            "type": "string",
            "maxLength": 40,
            "description": "the device that did; empty: none",
        },
    },
)
RESTORE_PAGE: Final = _map(
    "RestorePage",
    "Redemptions that a device has lost, signed for the purpose `grant`. It travels as base64 in"
    " `signed` of a RestoreReply.",
    {
        "40": _described(_TEXT, "device"),
        "41": _described(_TEXT, "id of the request"),
        "42": _described(_TEXT, "site"),
        "43": _described(_TEXT, "the authority: the platform, or a site's own"),
        "44": _described(_SECONDS, "issued at"),
        "45": _described(_TEXT, "where this page begins, as in the request"),
        "46": _described(_TEXT, "where the next page begins; empty on the last page"),
        "47": {"type": "boolean", "description": "this is the last page"},
        "48": {
            "type": "array",
            "items": {"type": "array"},
            "description": (
                "redemptions that were not reversed: cti, device, units, minor units of money or"
                " null, time, id of the event that first reported it"
            ),
        },
        "49": {
            "type": "array",
            "items": {"type": "array"},
            "description": "each epoch of the request, and the number through which the authority"
            " has it",
        },
    },
)
LEASE: Final = _map(
    "Lease",
    "A site's authority, signed for the purpose `grant`. It travels as base64 in `signed` of a"
    " LeaseReply.",
    {
        "20": _described(_TEXT, "site"),
        "21": _described(_TEXT, "holder"),
        "22": {
            "type": "integer",
            "minimum": 0,
            "description": "term: grows with each lease that is no renewal",
        },
        "23": _described(_SECONDS, "until"),
        "24": {
            "type": "array",
            "items": {"type": "array"},
            "description": (
                "redemptions: cti, device, use, epoch, seq, units, minor units of money or null,"
                " time, id of the event, expiry of the code or null"
            ),
        },
        "25": {
            "type": "array",
            "items": {"type": "array"},
            "description": "device, epoch, received through",
        },
        "26": _described(
            {"type": "string"}, "the entitlement that this page ended with; empty: the last page"
        ),
    },
)
