"""The largest JSON that a schema allows. A schema that sets no bound somewhere has none."""

from __future__ import annotations

import re._parser as parser
from collections.abc import Mapping
from typing import Any

DEEP = 20
WIDEST = "\x01"  # six bytes of JSON: no character takes more


class UnboundedError(Exception):
    """The schema allows content of any size; the message names where."""


def largest(schema: Mapping[str, Any], schemas: Mapping[str, Any], where: str = "") -> Any:
    """Return the largest value of ``schema``. Raises UnboundedError."""
    if where.count(".") > DEEP:
        raise UnboundedError(f"{where}: nested without end")
    match schema:
        case {"$ref": reference}:
            return largest(schemas[reference.rsplit("/", 1)[-1]], schemas, where)
        case {"const": value}:
            return value
        case {"enum": values}:
            return max(values, key=lambda value: len(str(value)))
        case {"anyOf": choices} | {"oneOf": choices}:
            found = [largest(choice, schemas, where) for choice in choices]
            return max(found, key=lambda value: len(str(value)))
        case {"type": "object"}:
            return _object(schema, schemas, where)
        case {"type": "array"}:
            if "maxItems" not in schema:
                raise UnboundedError(f"{where}: an array without maxItems")
            return [largest(schema["items"], schemas, f"{where}.[]")] * schema["maxItems"]
        case {"type": "string"}:
            return _text(schema, where)
        case {"type": "integer"}:
            return _integer(schema, where)
        case {"type": "boolean"}:
            return False
        case {"type": "null"}:
            return None
    raise UnboundedError(f"{where}: {schema}")


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Any], where: str) -> Any:
    if "properties" in schema:
        return {
            name: largest(field, schemas, f"{where}.{name}")
            for name, field in schema["properties"].items()
        }
    names, most = schema.get("propertyNames"), schema.get("maxProperties")
    values = schema.get("additionalProperties")
    if names is None or most is None or not isinstance(values, dict):
        raise UnboundedError(f"{where}: an object of any fields")
    name = largest({"type": "string", **names}, schemas, where)
    value = largest(values, schemas, f"{where}.*")
    return {f"{number:02}{name[2:]}": value for number in range(most)}


def _text(schema: Mapping[str, Any], where: str) -> str:
    if "pattern" in schema:
        return _longest(parser.parse(schema["pattern"]), where)
    if "maxLength" not in schema:
        raise UnboundedError(f"{where}: a text without maxLength")
    return WIDEST * schema["maxLength"]


def _integer(schema: Mapping[str, Any], where: str) -> int:
    if "maximum" in schema:
        return int(schema["maximum"])
    if "exclusiveMaximum" in schema:
        return int(schema["exclusiveMaximum"]) - 1
    raise UnboundedError(f"{where}: an integer without a maximum")


def _longest(pattern: Any, where: str) -> str:
    """Return the longest text that a regular expression matches; the first letter of a choice."""
    text = ""
    for kind, argument in pattern:
        match str(kind):
            case "LITERAL":
                text += chr(argument)
            case "IN":
                text += _longest([argument[0]], where)
            case "RANGE":
                text += chr(argument[0])
            case "MAX_REPEAT":
                _, most, inner = argument
                if most == parser.MAXREPEAT:
                    raise UnboundedError(f"{where}: a pattern without an end")
                text += _longest(inner, where) * most
            case "SUBPATTERN":
                text += _longest(argument[-1], where)
            case "BRANCH":
                text += max((_longest(branch, where) for branch in argument[1]), key=len)
            case "AT":
                pass
            case unknown:
                raise UnboundedError(f"{where}: a pattern with {unknown}")
    return text
