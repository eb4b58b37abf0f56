"""A folder of key files, one for each label, readable by their owner only; none is ever replaced."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from voltroot.errors import NotFound, Unavailable
from voltroot.keys.labels import check_label


class KeyFiles:
    """The files of one suffix in a folder."""

    def __init__(self, folder: Path, suffix: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self._folder = folder
        self._suffix = suffix

    def path(self, label: str) -> Path:
        """Return where a key's file is or would be."""
        return self._folder / f"{check_label(label)}{self._suffix}"

    def labels(self) -> list[str]:
        """Return the labels of all files."""
        return sorted(path.name.removesuffix(self._suffix) for path in self._folder.glob(f"[!.]*{self._suffix}"))

    def read(self, label: str) -> bytes:
        """Return what is in a file; NotFound where there is none."""
        try:
            return self.path(label).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"the keyring has no key {label}") from error
        except OSError as error:
            raise Unavailable(f"the key {label} cannot be read: is its file readable for this user?") from error

    def write(self, label: str, content: bytes) -> bool:
        """Write a new file and sync it to disk; False, and nothing is changed, where the label has one."""
        path = self.path(label)
        # The name appears only once the content is on disk, and never replaces another key.
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
        finally:
            Path(temporary).unlink()
            self._sync()
        return True

    def delete(self, label: str) -> None:
        """Remove a file, for ever; where there is none, nothing is to be done."""
        self.path(label).unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
