"""The generated half of ``docs/protocol/README.md``: topics, messages, fields and examples.

The words are the descriptions and docstrings of the models that the code itself reads with.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from sync.protocol.channels import (
    CHANNELS,
    SCHEMAS_AT,
    Channel,
    Form,
    MessageSpec,
    messages,
    plain_words,
    schemas,
)
from sync.protocol.event_bodies import BODIES
from sync.protocol.examples import Example, examples, shown
from sync.wire.fleet_requests import ARGUMENTS_AND_RESULTS, FleetAction

MARK: Final = "<!-- From here on written by `python -m sync.protocol`. -->"
_FORMS: Final = {
    Form.JSON: "JSON",
    Form.SIGNED: "a signed document; shown is what is under the signature, in JSON's form",
    Form.SIGNED_LIST: (
        "a CBOR array of signed documents; shown is what is under their signatures, in JSON's form"
    ),
}


def generated() -> str:
    """Return everything below the mark."""
    made = schemas()
    lines = [*_topics(), "", "## Messages"]
    for message in messages():
        lines += ["", *_message(message, made)]
    lines += ["", *_bodies(made)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _wrapped(prose: str) -> str:
    """Return ``prose`` in lines of at most 100 columns."""
    return textwrap.fill(prose, 100, break_long_words=False, break_on_hyphens=False)


def _topics() -> Iterator[str]:
    yield from (MARK, "", "## Topics", "")
    yield from ("| topic | direction | retained | messages |", "|---|---|---|---|")
    yield from (_topic_row(channel) for channel in CHANNELS)
    yield from ("", "All are QoS 1. Commands carry a message expiry; nothing else expires.")


def _topic_row(channel: Channel) -> str:
    near = "ops" if channel.name.startswith("ops") else "device"
    direction = f"{near} → platform" if channel.up else f"platform → {near}"
    links = ", ".join(f"[{message.name}](#{message.name.lower()})" for message in channel.messages)
    retained = "yes" if channel.retained else ""
    return f"| `{channel.address}` | {direction} | {retained} | {links} |"


def _message(message: MessageSpec, made: dict[str, Any]) -> Iterator[str]:
    at = ", ".join(f"`{channel.address}`" for channel in CHANNELS if message in channel.messages)
    yield from (f"### {message.name}", "", _wrapped(message.words), "")
    yield from (_wrapped(f"On {at}; {_FORMS[message.form]}."), "")
    for name in _parts(message, made):
        yield from _fields(name, made)
    for example in examples()[message.name]:
        yield from _example(example, message.form)


def _bodies(made: dict[str, Any]) -> Iterator[str]:
    yield from ("## Bodies of events", "")
    yield "An event of a type that is not here has a body of its own; keep it."
    for kind, model in BODIES.items():
        yield from ("", f"### `{kind}`", "", _wrapped(plain_words(model)), "")
        yield from _fields(model.__name__, made)


def _parts(message: MessageSpec, made: dict[str, Any]) -> list[str]:
    """Return the names of the schemas to show for a message: its own and those in it."""
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
    if name == FleetAction.__name__:
        yield from _actions()
        return
    for schema in made[name].get("oneOf", [made[name]]):
        if "properties" in schema:
            yield from (f"**{schema.get('title', name)}**", "")
            yield from ("| field | value | |", "|---|---|---|")
            required = schema.get("required", ())
            for field, of in schema["properties"].items():
                absent = "" if field in required else _if_absent(of)
                yield f"| `{field}` | {_value(of)}{absent} | {of.get('description', '')} |"
            yield ""
        elif "enum" in schema:
            words = ", ".join(f"`{word}`" for word in schema["enum"])
            yield from (f"**{name}**: one of {words}.", "")


def _actions() -> Iterator[str]:
    yield from ("**FleetAction**", "", "| action | arguments | results |", "|---|---|---|")
    for action, (arguments, results) in ARGUMENTS_AND_RESULTS.items():
        yield f"| `{action}` | {arguments} | {results} |"
    yield ""


def _if_absent(schema: dict[str, Any]) -> str:
    return (
        f"; {json.dumps(schema['default'])} if absent" if "default" in schema else "; may be absent"
    )


def _value(schema: dict[str, Any]) -> str:
    """Return the type and range of a field in words, for a table."""
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
        return _array(schema.get("items", {}))
    if "pattern" in schema:
        return f"`{schema['pattern']}`".replace("|", "\\|")
    return (" or ".join(kind) if isinstance(kind, list) else kind) + _range(schema)


def _array(items: dict[str, Any] | list[dict[str, Any]]) -> str:
    if isinstance(items, list):
        columns = (f"{item['description']}: {_value(item)}" for item in items)
        return "<br>".join(["[", *columns, "]"])
    return f"array of {_value(items)}"


def _range(schema: dict[str, Any]) -> str:
    end = schema.get("exclusiveMaximum")
    least, most = schema.get("minimum"), schema.get("maximum") if end is None else end - 1
    if least is None and most is None:
        return ""
    return f" {'' if least is None else least}..{'' if most is None else most}"


def _example(example: Example, form: Form) -> Iterator[str]:
    text = json.dumps(shown(example.payload, form), indent=None, ensure_ascii=False)
    yield from (_wrapped(f"{example.title}:"), "", "```json", text, "```", "")
    if form is not Form.JSON:
        yield from ("the bytes, in hexadecimal:", "", "```", example.payload.hex(), "```", "")
