"""The vPKI API of a car maker (REST, version 2.1 of its definition)."""
