"""Plugging it together, one module for each machine."""
