"""The only place that knows MQTT."""
