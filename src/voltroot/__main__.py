"""``python -m voltroot`` is ``voltroot``."""

from __future__ import annotations

from voltroot.cli import main

if __name__ == "__main__":
    main()
