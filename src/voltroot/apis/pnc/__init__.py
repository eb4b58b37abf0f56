"""The PnC Secondary Actor Service API (REST, version 1.1.0 of its manual)."""
