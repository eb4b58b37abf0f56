"""Many requests of a production line: asked side by side, answered into a file, resumed where it stopped.

Each request's Idempotency-Key follows from its content, so that asking again, after whatever crash, issues nothing
twice and has the same answer; the file of results needs nothing but its whole lines.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, TextIO

from voltroot.apis.vpki import wire
from voltroot.apis.vpki.client import Answered, Client
from voltroot.errors import Malformed, Unavailable
from voltroot.pki.registrations import Codes

CODES = tuple(f"{name}Code" for name in Codes._fields)
REQUESTS = ("*.csr", "*.pem", "*.req", "*.der")
ISSUED, REFUSED = "issued", "refused"


class Item(NamedTuple):
    """One request: what it is called in the results, its product, its CSR and codes."""

    name: str
    product: str
    csr: str
    codes: Codes

    def key(self, verb: str) -> str:
        """Return its Idempotency-Key."""
        content = json.dumps([verb, self.product, self.csr, *self.codes]).encode()
        return f"batch-{hashlib.sha256(content).hexdigest()}"


class Result(NamedTuple):
    """What became of one request: issued or refused, or neither where there was no answer in time."""

    item: Item
    state: str
    certificate: str = ""
    serial: str = ""
    status: int = 200
    message: str = ""

    def line(self) -> str:
        """Return it as a line of the file of results."""
        members = {"name": self.item.name, "product": self.item.product, "state": self.state}
        if self.state == ISSUED:
            members |= {"serial": self.serial, "cert": self.certificate}
        else:
            members |= {"status": str(self.status), "message": self.message}
        return json.dumps(members, ensure_ascii=False) + "\n"


def read_items(path: Path, product: str, codes: Mapping[str, str]) -> list[Item]:
    """Return the requests of a CSV file or of a folder of CSRs; Malformed names the line or file that is not whole."""
    items = list(_of_folder(path, product, codes) if path.is_dir() else _of_csv(path, product, codes))
    if not items:
        raise Malformed(f"there is no request in {path}")
    names = {item.name for item in items}
    if len(names) < len(items):
        raise Malformed(f"names are not unique in {path}: give each line a name of its own in the column name")
    return items


def read_csr(path: Path) -> str:
    """Return a request from a file in PEM or DER as the API takes it."""
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise Malformed(f"{path} cannot be read: {error.strerror}") from error
    return octets.decode("latin-1") if b"-----BEGIN" in octets else base64.b64encode(octets).decode()


class Results:
    """The file of results: read to know what is done, and written as answers come."""

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self._path = path
        self._again = again

    def done(self) -> dict[str, str]:
        """Return the states of what is answered, by name; a line that a crash cut off is cut off for good."""
        states: dict[str, str] = {}
        if not self._path.exists():
            return states
        whole = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    members = json.loads(line)
                    states[members["name"]] = members["state"]
                except (ValueError, KeyError, TypeError) as error:
                    raise Malformed(f"{self._path} is no file of results: move it away") from error
                whole += len(line)
        if whole < self._path.stat().st_size:
            with self._path.open("rb+") as file:
                file.truncate(whole)
        return {name: state for name, state in states.items() if not (self._again and state == REFUSED)}

    def opened(self) -> TextIO:
        """Open it to add to it."""
        return self._path.open("a", encoding="utf-8")


def run(
    items: Sequence[Item],
    verb: str,
    connect: Callable[[], Client],
    results: TextIO,
    *,
    flying: int = 16,
    heard: Callable[[Result], None] = lambda result: None,
) -> None:
    """Ask for all items, ``flying`` of them at once, and write each answer down before it is ``heard`` of."""
    waiting = iter(items)
    lock = threading.Lock()
    answers: SimpleQueue[Result | BaseException | None] = SimpleQueue()

    def work() -> None:
        try:
            with connect() as client:
                while True:
                    with lock:
                        item = next(waiting, None)
                    if item is None:
                        return
                    answers.put(_asked(client, verb, item))
        except BaseException as error:
            answers.put(error)
        finally:
            answers.put(None)

    with ThreadPoolExecutor(flying) as pool:
        for _ in range(flying):
            pool.submit(work)
        running = flying
        try:
            while running:
                match answers.get():
                    case None:
                        running -= 1
                    case Result() as result:
                        if result.state:
                            results.write(result.line())
                            results.flush()
                        heard(result)
                    case BaseException() as error:
                        raise error
        except BaseException:
            with lock:
                waiting = iter(())
            raise


def _asked(client: Client, verb: str, item: Item) -> Result:
    ask = client.issue if verb == wire.ISSUE else client.reissue
    try:
        certificate = ask(item.product, item.csr, item.codes, item.key(verb))
    except Answered as failure:
        return Result(item, REFUSED, status=failure.status, message=str(failure))
    except Unavailable as failure:
        return Result(item, "", message=str(failure))
    return Result(item, ISSUED, certificate.pem, str(certificate.serial))


def _of_folder(path: Path, product: str, codes: Mapping[str, str]) -> Iterator[Item]:
    for file in sorted({file for pattern in REQUESTS for file in path.glob(pattern)}):
        yield _item(file.name, str(file), {"product": product, **codes}, read_csr(file))


def _of_csv(path: Path, product: str, codes: Mapping[str, str]) -> Iterator[Item]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        if "csr" not in (table.fieldnames or ()):
            raise Malformed(f"{path} has no column csr: its first line names the columns, csr,{','.join(CODES)} ...")
        for row in table:
            members = {"product": product, **codes} | {name: value for name, value in row.items() if value}
            place = f"{path}, line {table.line_num}"
            given = members.get("csr", "")
            text = given if "-----BEGIN" in given else read_csr(path.parent / given)
            yield _item(members.get("name") or Path(given).name, place, members, text)


def _item(name: str, place: str, members: Mapping[str, str], csr: str) -> Item:
    for member in ("product", *CODES):
        if not members.get(member):
            raise Malformed(f"{place}: {member} is missing: give it there, or as an option")
    if members["product"] not in wire.PRODUCTS:
        raise Malformed(f"{place}: there is no product {members['product']}, they are {', '.join(wire.PRODUCTS)}")
    return Item(name, members["product"], csr, Codes(*(members[member] for member in CODES)))
