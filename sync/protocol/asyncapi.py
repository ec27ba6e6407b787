"""The protocol as an AsyncAPI 3 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from __future__ import annotations

from typing import Any, Final

from edge.values.node_name import NAME
from sync.protocol.channels import CHANNELS, Channel, Form, MessageSpec, messages, schemas
from sync.protocol.examples import examples, shown
from sync.wire.messages import COMMAND_EXPIRES_S

_PARAMETERS: Final = {
    "tenant": "The tenant that the fleet belongs to.",
    "device": f"A device's name, the common name of its certificate: `{NAME}`.",
    "site": "A site's name.",
}
_DESCRIPTION: Final = (
    "MQTT 5 carries messages between two ledgers: that of a device, which redeems codes without a"
    " network, and that of the platform. README.md beside this file says what each end must do."
    " Directions are the device's."
)


def document() -> dict[str, Any]:
    """Return the whole document, ready to be written as JSON."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Edge scanner", "version": "1.0.0", "description": _DESCRIPTION},
        "defaultContentType": Form.JSON.value,
        "servers": {
            "broker": {
                "host": "broker.example:8883",
                "protocol": "secure-mqtt",
                "protocolVersion": "5",
                "description": "TLS 1.3; the client's certificate names the device.",
                "security": [{"$ref": "#/components/securitySchemes/certificate"}],
            }
        },
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {_operation_name(channel): _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {message.name: _message(message) for message in messages()},
            "schemas": schemas(),
            "parameters": {name: {"description": words} for name, words in _PARAMETERS.items()},
            "securitySchemes": {
                "certificate": {"type": "X509", "description": "A certificate for each client."}
            },
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    holes = [name for name in _PARAMETERS if f"{{{name}}}" in channel.address]
    return {
        "address": channel.address,
        "description": channel.words,
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in holes},
        "messages": {
            message.name: {"$ref": f"#/components/messages/{message.name}"}
            for message in channel.messages
        },
    }


def _operation_name(channel: Channel) -> str:
    return f"{'send' if channel.up else 'receive'}.{channel.name}"


def _operation(channel: Channel) -> dict[str, Any]:
    mqtt: dict[str, Any] = {"qos": 1, "retain": channel.retained, "bindingVersion": "0.2.0"}
    if channel.expires:
        mqtt["messageExpiryInterval"] = COMMAND_EXPIRES_S
    at = f"#/channels/{channel.name}"
    return {
        "action": "send" if channel.up else "receive",
        "channel": {"$ref": at},
        "messages": [{"$ref": f"{at}/messages/{message.name}"} for message in channel.messages],
        "bindings": {"mqtt": mqtt},
    }


def _message(message: MessageSpec) -> dict[str, Any]:
    return {
        "name": message.name,
        "summary": message.words,
        "contentType": message.form.value,
        "payload": message.schema,
        "examples": [
            {"name": example.title, "payload": shown(example.payload, message.form)}
            for example in examples()[message.name]
        ],
    }
