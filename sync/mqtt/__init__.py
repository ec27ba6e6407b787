"""MQTT 5 connections: TLS, sessions, back-off, and the only import of paho."""
