"""MQTT 5 connections: TLS, sessions, back-off. Its module `connection` alone imports paho."""
