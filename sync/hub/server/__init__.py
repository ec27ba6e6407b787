"""The hub's MQTT process: receives device messages, publishes lists, orders and reviews."""
