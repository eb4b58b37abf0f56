"""``voltroot db``: looking after the ledger."""

from __future__ import annotations

import click

from voltroot.cli.db_audit import audit
from voltroot.cli.db_backup import backup_command, copy_command, restore_command


@click.group(name="db")
def db() -> None:
    """Check, back up, restore and move the ledger.

    \b
    Example:  voltroot db audit --data data
    """


db.add_command(audit)
db.add_command(backup_command)
db.add_command(restore_command)
db.add_command(copy_command)
