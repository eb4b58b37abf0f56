"""THE CHARGER'S LANGUAGE: OCPP-J, its frames and its sessions; no I/O."""
