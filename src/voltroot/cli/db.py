"""``voltroot db``: looking after the ledger."""

from __future__ import annotations

import click


@click.group(name="db")
def db() -> None:
    """Check, back up, restore and move the ledger.

    \b
    Example:  voltroot db audit --data data
    """
