"""Proves that a ledger of outlay was not edited since a checkpoint, without outlay.

    python verify_ledger.py ledger.db [CHECKPOINT [PUBLIC_KEY]]

It needs Python 3.10 and nothing else, opens the file for reading only, and shares no code with
outlay: what it checks is written down in docs/audit.md. It prints `sound`, or what is wrong with
the first bad entry first, and then exits with 1.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import sys
from collections import defaultdict

# Ed25519 (RFC 8032, section 5.1.7). Only public values are handled, so speed and timing are free.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(a: tuple, b: tuple) -> tuple:
    (x, y), (u, v) = a, b
    k = D * x * u * y * v
    return (
        (x * v + y * u) * pow(1 + k, -1, P) % P,
        (y * v + x * u) * pow(1 - k, -1, P) % P,
    )


def times(k: int, point: tuple) -> tuple:
    result = (0, 1)
    while k:
        if k & 1:
            result = add(result, point)
        point, k = add(point, point), k >> 1
    return result


def decoded(data: bytes) -> tuple:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    return (P - x if x & 1 != sign else x, y)


BASE = decoded(bytes.fromhex("58" + "66" * 31))


def has_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        a, r = decoded(key), decoded(signature[:32])
    except ValueError:
        return False
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return len(signature) == 64 and s < ORDER and times(s, BASE) == add(r, times(k, a))


OPENED, STARTED, ENDED = 1, 2, 3
RESERVED, SETTLED, VOIDED, DOUBTED, CORRECTED, FORGOTTEN = 4, 5, 6, 7, 8, 20
AMOUNTS = ("usd", "tokens", "llm_calls", "tool_calls")


def is_written(blob: object, size: int) -> bool:
    """Could an entry have this? Nothing is written as NULL, not as no bytes or zeros."""
    return blob is None or (isinstance(blob, bytes) and len(blob) % size == 0 and any(blob))


class Verifier:
    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        columns = [row[1] for row in self.db.execute("PRAGMA table_info(entries)")]
        self.columns = columns[1 : columns.index("call")]  # after `seq`: the integers
        self.problems: list[tuple] = []  # (rank, number, what), the first bad entry first
        self.chains: dict = defaultdict(lambda: [0, bytes(32)])
        self.pending: list = []  # the entries of a commit that has no link yet
        self.proofs: dict = {}
        self.forgotten: set = set()
        self.tasks: dict = defaultdict(lambda: [None, 0, 0])  # its row's hash, attempts, outcome
        self.calls: dict = {}
        self.sums: dict = defaultdict(lambda: [0] * 12)
        self.entries = 0

    def bad(self, rank: int, number: int, what: str) -> None:
        self.problems.append((rank, number, what))

    def read(self, checkpoint: dict | None) -> None:
        marked = checkpoint["entries"] if checkpoint else 0
        size = checkpoint["entries_per_mark"] if checkpoint else 1
        heads = {(no, links): head for no, links, head in (checkpoint or {}).get("owners", [])}
        marks: dict = defaultdict(hashlib.sha256)
        names = ", ".join(self.columns)
        sql = f"SELECT seq, {names}, call, under, proofs, link FROM entries ORDER BY seq"
        for seq, *cells, call, under, proofs, link in self.db.execute(sql):
            if seq != self.entries + 1:
                self.bad(0, self.entries + 1, "missing, or others before it are too many")
            self.entries = seq
            try:
                if not all(map(is_written, (call, under, proofs, link), (16, 12, 36, 32))):
                    raise TypeError
                data = b"".join(cell.to_bytes(8, "big", signed=True) for cell in cells)
                data += (call or bytes(16)) + b"".join(
                    len(blob).to_bytes(4, "big") + blob for blob in (under or b"", proofs or b"")
                )
            except (AttributeError, OverflowError, TypeError):
                self.bad(0, seq, "not readable as an entry")
                continue
            if seq <= marked:
                parts = seq.to_bytes(8, "big") + data + (b"\1" + link if link else b"\0")
                marks[(seq - 1) // size].update(parts)
            entry = dict(zip(self.columns, cells, strict=True))
            self.chain(seq, entry["owner"], data, link, heads)
            for at in range(0, len(proofs or b""), 36):
                self.proofs[int.from_bytes(proofs[at : at + 4], "big")] = proofs[at + 4 : at + 36]
            if entry["kind"] == FORGOTTEN:
                self.forgotten.add(entry["subject"])
            if entry["kind"] == OPENED:
                self.tasks[entry["task"]][0] = entry["request_hash"]
            elif entry["kind"] == STARTED:
                self.tasks[entry["task"]][1:] = [entry["attempt"], 0]
            elif entry["kind"] == ENDED:
                self.tasks[entry["task"]][2] = entry["note"]
            if call is not None:
                self.fold(seq, entry, call, under)
        if self.pending:
            self.bad(0, self.pending[0][0], "of a commit without an end")
        if self.entries < marked:
            self.bad(0, self.entries + 1, "missing")
        if checkpoint:
            self.compare(checkpoint["marks"], marks, size, marked)

    def compare(self, kept: list, marks: dict, size: int, marked: int) -> None:
        """Up to the last marked entry only the marks tell which is bad."""
        self.problems = [p for p in self.problems if p[0] or p[1] > marked or "missing" in p[2]]
        for index, mark in enumerate(kept):
            if marks[index].digest()[:16].hex() != mark:
                end = min((index + 1) * size, marked)
                self.bad(0, index * size + 1, f"not the checkpoint's (or one up to {end})")

    def chain(self, seq: int, owner: int, data: bytes, link: bytes | None, heads: dict) -> None:
        if self.pending and self.pending[0][1] != owner:
            self.bad(0, self.pending[0][0], "of a commit without an end")
            self.pending = []
        self.pending.append((seq, owner, data))
        if link is None:
            return
        entries, self.pending = self.pending, []
        chain = self.chains[owner]
        size = len(entries).to_bytes(8, "big")
        computed = hashlib.sha256(chain[1] + size + b"".join(e[2] for e in entries)).digest()
        chain[:] = [chain[0] + 1, link]
        if computed != link:
            self.bad(0, entries[0][0], "not what its link covers")
        elif heads.get((owner, chain[0]), link.hex()) != link.hex():
            self.bad(0, seq, "not of the chain of the checkpoint")

    def fold(self, seq: int, entry: dict, call: bytes, under: bytes | None) -> None:
        """Adds up what the balances must be: settled, pending, in doubt, four amounts each."""
        amounts = [entry[unit] for unit in AMOUNTS]
        kind, change = entry["kind"], [0] * 12
        if kind == RESERVED:
            self.calls[call] = ("open", amounts, under or b"")
            change[4:8] = amounts
        elif call not in self.calls:
            return self.bad(0, seq, "about a call that was never reserved")
        state, held, places = self.calls[call]
        if kind in (SETTLED, VOIDED, DOUBTED, CORRECTED):
            at = {"open": 4, "in doubt": 8}.get(state)
            if at:
                change[at : at + 4] = [-amount for amount in held]
            if kind in (SETTLED, CORRECTED):
                change[0:4] = amounts
            elif kind == DOUBTED:
                change[8:12] = held
            self.calls[call] = ("in doubt" if kind == DOUBTED else "ended", held, places)
        for at in range(0, len(places), 12):
            account = int.from_bytes(places[at : at + 4], "big")
            slot = int.from_bytes(places[at + 4 : at + 12], "big", signed=True)
            total = self.sums[account, slot]
            total[:] = [a + b for a, b in zip(total, change, strict=True)]

    def check_rows(self) -> None:
        for no, links, head in self.db.execute("SELECT no, links, head FROM owners"):
            if [links, head] != self.chains.get(no, [0, bytes(32)]):
                self.bad(1, no, "owner: its row does not end where its entries end")
        unseen = dict(self.proofs)
        for no, key, value, salt in self.db.execute("SELECT no, key, value, salt FROM names"):
            proof = unseen.pop(no, None)
            if value is None and salt is None and no in self.forgotten:
                continue
            word = f"{key}\0{value}".encode()
            if None in (proof, value, salt) or hmac.digest(salt, word, "sha256") != proof:
                self.bad(2, no, "name: not the word its entry proves")
        for no in unseen:
            self.bad(2, no, "name: missing")
        self.check_tasks()
        rows = {row[:2]: list(row[2:]) for row in self.db.execute("SELECT * FROM balances")}
        for place in sorted(rows.keys() | self.sums.keys()):
            missing = place not in rows and place in self.sums
            if missing or rows.get(place) != self.sums.get(place, [0] * 12):
                self.bad(4, place[0], f"balance at {place[1]}: not the sum of its entries")

    def check_tasks(self) -> None:
        rest = "id, opened_ms, tags, caller, name, parent, depth"
        sql = f"SELECT no, attempts, outcome, {rest} FROM tasks"
        for no, attempts, outcome, uuid, opened_ms, tags, *numbers in self.db.execute(sql):
            try:
                row = uuid + b"".join(number.to_bytes(4, "big") for number in numbers)
                row += opened_ms.to_bytes(8, "big", signed=True) + tags
            except (AttributeError, OverflowError, TypeError):
                row = b""
            first = int.from_bytes(hashlib.sha256(row).digest()[:8], "big", signed=True)
            if self.tasks.pop(no, None) != [first, attempts, outcome]:
                self.bad(3, no, "task: not what its entries say")
        for no in self.tasks:
            self.bad(3, no, "task: missing")


def opened(path: str, key: str | None, db: sqlite3.Connection) -> dict:
    with open(path, encoding="utf-8") as file:
        first, second = file.read().splitlines()
    seal = json.loads(second)
    if key is not None and seal["key"] != key:
        sys.exit(f"the checkpoint is signed by {seal['key']}")
    if not has_signed(bytes.fromhex(seal["key"]), first.encode(), bytes.fromhex(seal["signature"])):
        sys.exit("the checkpoint was edited: its signature does not fit")
    checkpoint = json.loads(first)
    secret = db.execute("SELECT value FROM meta WHERE key = 'hash_key'").fetchone()[0]
    if hmac.digest(secret, b"checkpoint", "sha256")[:8].hex() != checkpoint["ledger"]:
        sys.exit("the checkpoint is of another ledger")
    print(f"the checkpoint of {checkpoint['made_at']} is signed by {seal['key']}")
    return checkpoint


def main(path: str, checkpoint: str | None = None, key: str | None = None) -> int:
    verifier = Verifier(path)
    verifier.read(opened(checkpoint, key, verifier.db) if checkpoint else None)
    if not verifier.problems:
        verifier.check_rows()
    where = ["entry", "owner", "name", "task", "account"]
    for rank, number, what in sorted(verifier.problems)[:20]:
        print(f"{where[rank]} {number}: {what}")
    if not verifier.problems:
        print(f"sound: {verifier.entries} entries")
    return 1 if verifier.problems else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
