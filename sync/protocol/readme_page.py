"""The generated half of ``docs/protocol/README.md``: topics, and each message with its fields and examples."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from sync.protocol.channels import (
    CHANNELS,
    MODELS,
    SCHEMAS_AT,
    Channel,
    Form,
    MessageSpec,
    messages,
    schemas,
)
from sync.protocol.event_bodies import BODIES
from sync.protocol.examples import Example, examples, shown
from sync.wire.messages import Conflict, RefusedItem, RungReport

MARK: Final = "<!-- From here on written by `python -m sync.protocol`. -->"
_FORMS: Final = {
    Form.JSON: "JSON",
    Form.SIGNED: "a signed document; shown is what is under the signature, in JSON's form",
    Form.SIGNED_LIST: "a CBOR array of signed documents; shown is what is under their signatures, in JSON's form",
}
_COMMON: Final = {
    "v": "version of the protocol",
    "dev": "the device, as in the topic",
    "epoch": "which numbering of events: a new store begins a new one",
    "seq": "number of the event, gapless in its epoch",
    "id": "identity of the event or request (UUIDv7)",
    "ts": "when, Unix seconds",
    "ts_trust": "whether the device's clock was known to be right",
    "type": "what it is",
    "body": "see below, by type",
    "cti": "identity of the code, hexadecimal",
    "order": "the order",
    "use": "which use of the code on this device it is",
    "units": "how many units",
    "reason": "why, a word",
    "operator": "who was signed in",
    "grants_released_through": "every claim of this epoch up to this number is over: nothing comes of it any more",
    "no": "number of the claim, in the order they were made",
    "acked_through": "the platform holds every number of the epoch up to this one",
    "first": "the first number of the batch that is answered; 0: it had none",
    "last": "and the last",
    "rejected": "events that have no effect",
    "conflicts": "entitlements honoured beyond their quantity",
    "have": "the revision that is here; 0: none",
    "snapshot": "the snapshot that is half here; 0: none",
    "page": "the next page of it",
    "quantity": "units",
    "state": "how it is",
}


def generated() -> str:
    """Everything below the mark."""
    made = schemas()
    lines = [
        MARK,
        "",
        "## Topics",
        "",
        "| topic | who | retained | messages |",
        "|---|---|---|---|",
    ]
    lines += [_topic_row(channel) for channel in CHANNELS]
    lines += [
        "",
        "All are QoS 1. Commands carry a message expiry; nothing else expires.",
        "",
        "## Messages",
    ]
    for message in messages():
        lines += ["", *_message(message, made)]
    lines += [
        "",
        "## Bodies of events",
        "",
        "An event of a type that is not here has a body of its own; keep it.",
    ]
    for kind, model in BODIES.items():
        lines += [
            "",
            f"### `{kind}`",
            "",
            " ".join((model.__doc__ or "").replace("``", "`").split()),
            "",
        ]
        lines += _fields(model.__name__, made)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _topic_row(channel: Channel) -> str:
    who = ("device → platform" if channel.up else "platform → device").replace(
        "device", "ops" if channel.name.startswith("ops") else "device"
    )
    said = ", ".join(f"[{message.name}](#{message.name.lower()})" for message in channel.messages)
    return f"| `{channel.address}` | {who} | {'yes' if channel.retained else ''} | {said} |"


def _message(message: MessageSpec, made: dict[str, Any]) -> Iterator[str]:
    at = ", ".join(f"`{channel.address}`" for channel in CHANNELS if message in channel.messages)
    yield from (
        f"### {message.name}",
        "",
        message.words,
        "",
        f"On {at}; {_FORMS[message.form]}.",
        "",
    )
    for name in _parts(message, made):
        yield from _fields(name, made)
    for example in examples()[message.name]:
        yield from _example(example, message.form)


def _parts(message: MessageSpec, made: dict[str, Any]) -> list[str]:
    """The schemas to show for a message: its own and those it is made of."""
    found: list[str] = []
    waiting: list[Any] = [message.schema]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict):
            reference = item.get("$ref", "")
            name = reference.removeprefix(SCHEMAS_AT)
            if reference and name not in found and name != "JsonValue":
                found.append(name)
                waiting.append(made[name])
            waiting.extend(value for value in item.values() if isinstance(value, dict | list))
        elif isinstance(item, list):
            waiting.extend(item)
    return found


def _fields(name: str, made: dict[str, Any]) -> Iterator[str]:
    for schema in made[name].get("oneOf", [made[name]]):
        if "properties" not in schema:
            if "enum" in schema:
                yield from (
                    f"**{name}**: one of {', '.join(f'`{word}`' for word in schema['enum'])}.",
                    "",
                )
            continue
        words = _words_of(name)
        yield from (f"**{schema.get('title', name)}**", "", "| field | value | |", "|---|---|---|")
        for field, of in schema["properties"].items():
            must = field in schema.get("required", ())
            default = (
                ""
                if must
                else f"; {json.dumps(of['default'])} if absent"
                if "default" in of
                else "; may be absent"
            )
            said = of.get("description") or words.get(field) or _COMMON.get(field, "")
            yield f"| `{field}` | {_value(of)}{default} | {said} |"
        yield ""


def _value(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].removeprefix(SCHEMAS_AT))
    if "anyOf" in schema:
        return " or ".join(_value(item) for item in schema["anyOf"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(item)}`" for item in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        items = schema.get("items", {})
        if isinstance(items, list):
            return "<br>".join(
                ["[", *(f"{item['description']}: {_value(item)}" for item in items), "]"]
            )
        return f"array of {_value(items)}"
    if "pattern" in schema:
        return f"`{schema['pattern']}`".replace("|", "\\|")
    end = schema.get("exclusiveMaximum")
    low, high = schema.get("minimum"), schema.get("maximum") if end is None else end - 1
    limits = (
        f" {'' if low is None else low}..{'' if high is None else high}"
        if (low, high) != (None, None)
        else ""
    )
    return (" or ".join(kind) if isinstance(kind, list) else kind) + limits


def _words_of(name: str) -> dict[str, str]:
    """What the code says beside each field of a model, which is why it stands there."""
    every: tuple[type[BaseModel], ...] = (*MODELS, RefusedItem, Conflict, RungReport)
    models = {model.__name__: model for model in every}
    model = MODELS[0] if name == "EventBatch" else models.get(name)
    if model is None:
        return {}
    said = re.findall(r"^    (\w+): [^#\n]*#\s*(.+)$", inspect.getsource(model), re.MULTILINE)
    return {field: words for field, words in said if not words.startswith(("noqa", "type:"))}


def _example(example: Example, form: Form) -> Iterator[str]:
    text = json.dumps(shown(example.payload, form), indent=None, ensure_ascii=False)
    yield from (f"{example.title}:", "", "```json", text, "```", "")
    if form is not Form.JSON:
        yield from ("the bytes, in hexadecimal:", "", "```", example.payload.hex(), "```", "")
