"""The certificate authority: what may be issued, and issuing it."""
