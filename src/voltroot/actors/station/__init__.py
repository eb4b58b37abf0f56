"""The charging station: what it trusts, what it shows to cars and to the CSMS, and the keys that it makes."""
