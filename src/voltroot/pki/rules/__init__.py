"""The rules that certificates are held against, in tables."""
