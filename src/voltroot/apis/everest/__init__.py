"""EVerest's API for consumers of evse_security, over MQTT: both ends."""
