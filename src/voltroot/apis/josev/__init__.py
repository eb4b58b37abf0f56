"""Josev's messages about certificates, over MQTT: both ends."""
