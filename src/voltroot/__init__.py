"""Voltroot: the certificates of electric-car charging."""
