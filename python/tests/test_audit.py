"""The proof: from Python, and by the verifier that shares nothing with the core."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import outlay
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DOCS = Path(__file__).parents[2] / "docs"
VERIFIER = DOCS / "verify_ledger.py"
OTHER = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"


class Kept:
    """A ledger, a checkpoint of it, and the key that signed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ledger.db"
        self.store = f"sqlite:{self.file}"
        for number in range(8):
            tags = {"tenant": f"t{number % 3}"}
            with outlay.task("refund", usd=0.5, tags=tags, store=self.store) as task:
                for output_tokens in (500, 0, 250):
                    call = task.reserve(model="gpt-4o", input_tokens=900, max_output_tokens=600)
                    call.settle(outlay.Usage(900, output_tokens))
                task.reserve(model="gpt-4o", input_tokens=900, max_output_tokens=600).void()
                if number % 2:
                    task.reserve(model="gpt-4o", input_tokens=9, max_output_tokens=6).doubt()
                    task.fail("no JSON")
        outlay.forget("tenant", "t2", store=self.store)
        secret = Ed25519PrivateKey.generate()
        self.pem = secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        raw = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.public = secret.public_key().public_bytes(*raw).hex()
        self.checkpoint = outlay.ledger(self.store).checkpoint(self.pem)
        self.text = folder / "checkpoint"
        self.text.write_text(self.checkpoint, encoding="utf-8")

    def verify(self, file: Path, *words: str) -> tuple[int, str]:
        command = [sys.executable, str(VERIFIER), str(file), *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.returncode, ran.stdout + ran.stderr

    def tampered(self, folder: Path, sql: str) -> Path:
        copy = folder / "copy.db"
        with sqlite3.connect(self.file) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.file, copy)
        with sqlite3.connect(copy) as db:
            assert db.execute(sql).rowcount > 0
        return copy


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("audit"))


def test_an_honest_ledger_is_sound(kept: Kept) -> None:
    ledger = outlay.ledger(kept.store)
    audit = ledger.audit(kept.checkpoint, key=kept.public)
    assert audit and not audit.problems and audit.erased_names == 1
    assert audit.checkpoint_entries == audit.entries
    assert str(audit).endswith("1 names are erased")
    code, said = kept.verify(kept.file, str(kept.text), kept.public)
    assert (code, said.splitlines()[-1]) == (0, f"sound: {audit.entries} entries")
    assert kept.verify(kept.file)[0] == 0


@pytest.mark.parametrize(
    ("sql", "place", "number"),
    [
        ("UPDATE entries SET usd = usd + 1 WHERE seq = 7", "entry", 7),
        ("UPDATE entries SET proofs = NULL WHERE seq = 1", "entry", 1),
        ("UPDATE entries SET call = zeroblob(16) WHERE seq = 1 AND call IS NULL", "entry", 1),
        ("UPDATE entries SET proofs = 1 WHERE seq = 1", "entry", 1),
        ("UPDATE entries SET under = 1 WHERE seq = 1 AND under IS NULL", "entry", 1),
        ("UPDATE entries SET link = 1 WHERE seq = 1", "entry", 1),
        ("DELETE FROM entries WHERE seq = 11", "entry", 11),
        ("DELETE FROM entries WHERE seq > 20", "entry", 21),
        ("UPDATE owners SET links = links - 1 WHERE no = 1", "owner", 1),
        ("UPDATE names SET value = 't9' WHERE value = 't1'", "name", None),
        ("UPDATE tasks SET tags = x'' WHERE no = 2", "task", 2),
        ("UPDATE balances SET in_doubt_usd = 5 WHERE account = 2", "balance", 2),
        ("DELETE FROM balances WHERE account = 3", "balance", 3),
    ],
)
def test_both_find_what_was_changed(
    kept: Kept, tmp_path: Path, sql: str, place: str, number: int | None
) -> None:
    copy = kept.tampered(tmp_path, sql)
    code, said = kept.verify(copy, str(kept.text))
    first = said.splitlines()[1]
    word = "account" if place == "balance" else place
    assert code == 1 and first.startswith(f"{word} {'' if number is None else f'{number}:'}"), said
    audit = outlay.ledger(f"sqlite:{copy}").audit(kept.checkpoint)
    assert not audit
    problem = audit.problems[0]
    assert problem.place == place and number in (None, problem.number), str(audit)


def test_a_checkpoint_is_of_one_ledger_and_one_key(kept: Kept, tmp_path: Path) -> None:
    ledger = outlay.ledger(kept.store)
    with pytest.raises(outlay.Conflict):
        ledger.audit(kept.checkpoint, key=OTHER)
    edited = kept.checkpoint.replace('"entries":', '"entries": ', 1)
    with pytest.raises(outlay.Corrupt):
        ledger.audit(edited)
    (tmp_path / "edited").write_text(edited, encoding="utf-8")
    assert "its signature does not fit" in kept.verify(kept.file, str(tmp_path / "edited"))[1]
    assert "is signed by" in kept.verify(kept.file, str(kept.text), "00" * 32)[1]
    with outlay.task("other", store=f"sqlite:{tmp_path / 'other.db'}"):
        pass
    with pytest.raises(outlay.Conflict):
        outlay.ledger(f"sqlite:{tmp_path / 'other.db'}").audit(kept.checkpoint)
    assert "another ledger" in kept.verify(tmp_path / "other.db", str(kept.text))[1]
    with pytest.raises(outlay.InvalidInput):
        ledger.checkpoint("no key")
    with pytest.raises(outlay.Unsupported):
        outlay.ledger("memory:audit").audit()
