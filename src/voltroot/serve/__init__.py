"""Sockets and waiting."""
