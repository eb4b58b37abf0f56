"""Sessions with one PKCS#11 token: opened when they are needed, shared by all threads, opened again after a loss."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from voltroot.errors import Failure, Unavailable
from voltroot.keys.cryptoki import Cryptoki, CryptokiError
from voltroot.keys.pkcs11_uri import TokenAddress

T = TypeVar("T")

# How many operations a process has under way at once; network HSMs allow a client some dozens of sessions.
SESSIONS = 8
# How long a device that did not answer is left alone, in seconds: requests that wait for it would only pile up.
PAUSE = 1.0
# How long until a module that has missed its token looks again, in seconds: SoftHSM2 sees none, or one without a PIN,
# where another process is just logging in. Once may not do: what another thread started meanwhile counts as started.
MOMENTS = (0.2, 0.4)
# How long anybody waits for calls of others that do not come back, in seconds.
PATIENCE = 30.0

# Return values after which a session, a handle or a login is worth nothing, and new ones may work:
# SLOT_ID_INVALID, GENERAL_ERROR, FUNCTION_FAILED, DEVICE_*, KEY_HANDLE_INVALID, OBJECT_HANDLE_INVALID, SESSION_CLOSED,
# SESSION_HANDLE_INVALID, TOKEN_NOT_*, USER_NOT_LOGGED_IN, USER_PIN_NOT_INITIALIZED, CRYPTOKI_NOT_INITIALIZED.
LOST = {0x03, 0x05, 0x06, 0x30, 0x31, 0x32, 0x60, 0x82, 0xB0, 0xB3, 0xE0, 0xE1, 0x101, 0x102, 0x190}

# CKR_PIN_INCORRECT, _INVALID, _LEN_RANGE, _EXPIRED, _LOCKED, CKR_USER_PIN_NOT_INITIALIZED
_PIN = {
    0xA0: "the PIN is wrong",
    0xA1: "the PIN is wrong",
    0xA2: "the PIN is wrong",
    0xA3: "the PIN has expired",
    0xA4: "the PIN is locked after too many wrong ones",
    0x102: "the token has no user PIN yet",
}
# Those that count as a wrong try; the others end when somebody sets the token right, with the same PIN.
_COUNTED = {0xA0, 0xA1, 0xA2}


class Lost(Exception):
    """What was there is not there any more, though the module found nothing wrong."""


class Sessions:
    """What runs tasks in sessions with a token. Safe among threads, and in a child that was forked."""

    def __init__(self, address: TokenAddress, pin: Callable[[], str]) -> None:
        self._address = address
        self._pin = pin
        self._places = threading.BoundedSemaphore(SESSIONS)
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._era = (0, 0, 0)
        self._reopened = 0
        self._refused_pin: str | None = None
        self._rest = (0.0, "")

    def run(self, task: Callable[[Cryptoki, int], T], *, alone: bool = False) -> T:
        """Return what a task makes of a session; Unavailable where the token does not answer.

        After a loss the task is run again: in a new session, then in a module that was started anew, at once and some
        moments later. A task that is to be ``alone`` begins when no other of this process is in the module.
        """
        self._raise_if_resting()
        restart = self._module().restart
        try:
            for remedy, pause in ((self._reopen, 0.0), (restart, 0.0), *((restart, moment) for moment in MOMENTS)):
                era = self.era
                try:
                    return self._run_once(task, alone=alone)
                except (CryptokiError, Lost) as error:
                    if isinstance(error, CryptokiError) and error.code not in LOST:
                        raise
                    time.sleep(pause)
                    remedy(era)
            return self._run_once(task, alone=alone)
        except (CryptokiError, Lost, OSError) as error:
            raise self._unavailable(error) from error

    @property
    def era(self) -> tuple[int, int, int]:
        """What handles are good for: another process, another start of the module or other sessions need new ones."""
        return (os.getpid(), self._module().starts, self._reopened)

    def slot(self, module: Cryptoki) -> int:
        """Return the slot of the token; Lost where there is none, Unavailable where there is more than one."""
        slots = [slot for slot in module.slots() if self._address.matches(module.token(slot))]
        if not slots:
            raise Lost(f"{self._address.module} does not have it")
        if len(slots) > 1:
            raise Unavailable(f"{self._address} is there {len(slots)} times: give its serial number too")
        return slots[0]

    def _run_once(self, task: Callable[[Cryptoki, int], T], *, alone: bool) -> T:
        if not self._places.acquire(timeout=PATIENCE):
            raise Unavailable(f"{self._address} is busy, or has not answered for {PATIENCE:.0f} seconds: try again")
        try:
            with self._module().inside(alone=alone) as module, self._session(module) as session:
                return task(module, session)
        finally:
            self._places.release()

    @contextmanager
    def _session(self, module: Cryptoki) -> Iterator[int]:
        """Yield a session with the user logged in; one in which anything failed is not used again."""
        era = self.era
        session = self._take(module, era) or self._open(module)
        fit = False
        try:
            yield session
            fit = True
        except Failure:
            fit = True
            raise
        finally:
            if not (fit and self._keep(era, session)):
                with contextlib.suppress(CryptokiError):
                    module.close_session(session)

    def _keep(self, era: tuple[int, int, int], session: int) -> bool:
        with self._lock:
            if era == self._era:
                self._free.append(session)
            return era == self._era

    def _take(self, module: Cryptoki, era: tuple[int, int, int]) -> int | None:
        with self._lock:
            if era != self._era:
                # Handles of another process or start of the module may mean somebody else's sessions by now.
                stale = self._free if era[:2] == self._era[:2] else []
                self._era, self._free = era, []
                for session in stale:
                    with contextlib.suppress(CryptokiError):
                        module.close_session(session)
            return self._free.pop() if self._free else None

    def _open(self, module: Cryptoki) -> int:
        session = module.open_session(self.slot(module))
        try:
            pin = self._pin()
            if not pin:
                raise Unavailable(f"{self._address}: there is no PIN; set keys.pin_file or VOLTROOT_PIN")
            # Every wrong try counts, and some tokens lock themselves for good after three.
            if pin == self._refused_pin:
                raise CryptokiError("Login", 0xA0)
            try:
                module.login(session, pin)
            except CryptokiError as error:
                if error.code in _COUNTED:
                    self._refused_pin = pin
                raise
        except BaseException:
            with contextlib.suppress(CryptokiError):
                module.close_session(session)
            raise
        return session

    def _reopen(self, era: tuple[int, int, int]) -> None:
        with self._lock:
            if era == self.era:
                self._reopened += 1

    def _raise_if_resting(self) -> None:
        until, why = self._rest
        if time.monotonic() < until:
            raise Unavailable(why)

    def _unavailable(self, error: Exception) -> Unavailable:
        code = error.code if isinstance(error, CryptokiError) else 0
        if code in _PIN:
            why = f"{self._address}: {_PIN[code]}; see keys.pin_file and VOLTROOT_PIN"
            if code not in _COUNTED:
                self._rest = time.monotonic() + PAUSE, why
            return Unavailable(why)
        why = f"{self._address} does not answer ({error}): is it connected, and its name right?"
        if isinstance(error, Lost) or code in LOST:
            self._rest = time.monotonic() + PAUSE, why
        return Unavailable(why)

    def _module(self) -> Module:
        return module_at(self._address.module)


class Module:
    """A module of this process, started once however many use it, and started anew only while nobody is inside."""

    def __init__(self, path: str) -> None:
        self._cryptoki = Cryptoki(path)
        self._gate = threading.Condition()
        self._users = 0
        self._is_closed = False
        self._owner = 0
        self.starts = 0

    @contextmanager
    def inside(self, *, alone: bool = False) -> Iterator[Cryptoki]:
        """Yield the functions, initialized; to one who is ``alone`` while nobody else is inside."""
        with self._gate:
            self._gate.wait_for(lambda: not self._is_closed)
            if alone and not self._empty():
                self._open()
                raise Unavailable(f"other calls of the module have not come back for {PATIENCE:.0f} seconds: try again")
            self._users += 1
        try:
            with self._gate:
                # What a parent initialized does not count in its child (2.40 base, 5.4).
                if self._owner != os.getpid():
                    self._cryptoki.initialize()
                    self._owner = os.getpid()
            yield self._cryptoki
        finally:
            with self._gate:
                self._users -= 1
                if alone:
                    self._open()
                self._gate.notify_all()

    def restart(self, era: tuple[int, int, int]) -> None:
        """End the module, so that it begins anew, unless somebody did so since."""
        with self._gate:
            self._gate.wait_for(lambda: not self._is_closed)
            if self.starts != era[1]:
                return
            if self._empty():
                with contextlib.suppress(CryptokiError):
                    self._cryptoki.finalize()
                self._owner = 0
                self.starts += 1
            self._open()

    def _empty(self) -> bool:
        """Let nobody in, and wait until nobody is inside; tells whether it came to that."""
        self._is_closed = True
        return self._gate.wait_for(lambda: self._users == 0, PATIENCE)

    def _open(self) -> None:
        self._is_closed = False
        self._gate.notify_all()


@cache  # the library itself is one for the whole process
def module_at(path: str) -> Module:
    """Return the module of a file; Unavailable where there is none."""
    try:
        return Module(path)
    except (OSError, CryptokiError) as error:
        raise Unavailable(f"{path} is no PKCS#11 module that can be used here: {error}") from error
