"""Voltroot: the certificates of electric-car charging."""

from __future__ import annotations

__version__ = "0.1.0"
