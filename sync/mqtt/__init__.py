"""Connections to the platform: MQTT 5 sessions, HTTPS requests, TLS; the only import of paho."""
