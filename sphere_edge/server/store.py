"""Stored responses and conversations: one SQLite file that only its owner can read.

What is older than the time to live is forgotten, and of what does not fit, the oldest. Every method
blocks: the server calls them off its event loop. https://sqlite.org/lang.html
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphere_edge.errors import StorageError
from sphere_edge.server.settings import Settings

Document = dict[str, Any]
_DAY_S = 86_400
# A response that follows so many others has a damaged chain, or one that is a circle.
_LONGEST_CHAIN = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS owners (
  id TEXT PRIMARY KEY,
  used REAL NOT NULL,
  bytes INTEGER NOT NULL,
  document TEXT NOT NULL,
  events BLOB
);
DROP INDEX IF EXISTS owners_used;
CREATE INDEX IF NOT EXISTS owners_bytes ON owners (used, bytes);
CREATE TABLE IF NOT EXISTS items (
  number INTEGER PRIMARY KEY,
  owner TEXT NOT NULL REFERENCES owners (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  is_input INTEGER NOT NULL,
  item TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS items_owner ON items (owner);
CREATE INDEX IF NOT EXISTS items_id ON items (id);
"""


@dataclass(frozen=True)
class Stored:
    """A response, what it was asked with, and its events."""

    document: Document
    input: list[Document]
    events: list[Document]


class Store:
    """The open file. An owner of items is a response or a conversation, as its id says."""

    def __init__(self, path: Path, settings: Settings) -> None:
        """Raises StorageError."""
        self._settings = settings
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # SQLite would make it readable for all.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            self._database = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._database.executescript(
                # Its cache would be 2 MB; the system keeps the file, too.
                "PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON; "
                f"PRAGMA cache_size = -256; {_SCHEMA}"
            )
            self._database.execute("PRAGMA foreign_keys = ON")
        except (OSError, sqlite3.Error) as error:
            message = f"the store `{path}` cannot be opened: {error}"
            hint = "choose another --store FILE, or --no-store"
            raise StorageError(message, hint=hint) from error

    def save(
        self, stored: Stored, *, is_kept: bool = True, conversation: str | None = None
    ) -> None:
        """Keeps a response if `is_kept`, and its items at the end of `conversation`.

        All or nothing. Raises StorageError, as `put_conversation` does.
        """
        document = stored.document
        events = zlib.compress(json.dumps(stored.events).encode())
        with self._changing():
            if is_kept:
                self._put(document["id"], document, events)
                self._append(document["id"], stored.input, is_input=True)
                self._append(document["id"], document["output"], is_input=False)
                self._forget()
            if conversation is not None:
                self._add(conversation, [*stored.input, *document["output"]])

    def response(self, id: str) -> Stored | None:
        """The response `id`."""
        with self._changing():
            row = self._row(id)
            if row is None or not id.startswith("resp_"):
                return None
            items = self._items(id, only_input=True)
            return Stored(_read(row[0]), items, _events(row[1]))

    def history(self, id: str) -> list[Document] | None:
        """All items up to the end of the response `id`, oldest first; None if one is missing."""
        with self._changing():
            chain = self._chain(id)
            return [item for one in reversed(chain) for item in self._items(one)] or None

    def chain(self, id: str) -> list[str]:
        """The response `id` and those before it, the newest first; empty if one is missing."""
        with self._changing():
            return self._chain(id)

    def delete(self, id: str) -> bool:
        """Forgets a response or a conversation; False if there is none."""
        with self._changing():
            return self._database.execute("DELETE FROM owners WHERE id = ?", (id,)).rowcount > 0

    def item(self, id: str) -> Document | None:
        """The newest item of that id, of any response."""
        with self._changing():
            row = self._database.execute(
                "SELECT item FROM items WHERE id = ? ORDER BY number DESC LIMIT 1", (id,)
            ).fetchone()
            return None if row is None else _read(row[0])

    def put_conversation(self, document: Document, items: Sequence[Document] = ()) -> None:
        """Makes a conversation of `items`, or changes what it says of itself.

        Raises StorageError for one that is larger than the whole store may be.
        """
        with self._changing():
            self._put(document["id"], document, None)
            self._append(document["id"], items, is_input=True)
            self._forget()
            self._require(document["id"])

    def conversation(self, id: str) -> Document | None:
        """What a conversation says of itself."""
        with self._changing():
            row = self._row(id)
            return None if row is None or not id.startswith("conv_") else _read(row[0])

    def items(self, conversation: str) -> list[Document]:
        """Its items, oldest first."""
        with self._changing():
            return self._items(conversation)

    def add_items(self, conversation: str, items: Sequence[Document]) -> None:
        """Adds items at its end, if it is still there. Raises StorageError as above."""
        with self._changing():
            self._add(conversation, items)

    def delete_item(self, conversation: str, id: str) -> bool:
        """Forgets an item; False if there is none."""
        with self._changing():
            found = self._database.execute(
                "DELETE FROM items WHERE owner = ? AND id = ? RETURNING LENGTH(item)",
                (conversation, id),
            ).fetchall()
            self._database.execute(
                "UPDATE owners SET bytes = bytes - ? WHERE id = ?",
                (sum(row[0] for row in found), conversation),
            )
            return bool(found)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with self._lock, self._database:
                yield
        except sqlite3.Error as error:
            message = f"the store failed: {error}"
            raise StorageError(message, hint="free some space, or serve with --no-store") from error

    def _put(self, id: str, document: Document, events: bytes | None) -> None:
        text = json.dumps(document)
        size = len(text) + len(events or b"")
        self._database.execute(
            "INSERT INTO owners VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "used = excluded.used, document = excluded.document, events = excluded.events, "
            "bytes = bytes - LENGTH(document) - COALESCE(LENGTH(events), 0) + excluded.bytes",
            (id, self._now(), size, text, events),
        )

    def _append(self, owner: str, items: Sequence[Document], *, is_input: bool) -> None:
        rows = [(owner, item["id"], is_input, json.dumps(item)) for item in items]
        self._database.executemany(
            "INSERT INTO items (owner, id, is_input, item) VALUES (?, ?, ?, ?)", rows
        )
        self._database.execute(
            "UPDATE owners SET used = ?, bytes = bytes + ? WHERE id = ?",
            (self._now(), sum(len(row[3]) for row in rows), owner),
        )

    def _add(self, conversation: str, items: Sequence[Document]) -> None:
        if self._row(conversation) is not None:
            self._append(conversation, items, is_input=True)
            self._forget()
            self._require(conversation)

    def _now(self) -> float:
        """The time; nothing is from later."""
        now = time.time()
        # From before the clock was set back: as the newest they would push out all that comes.
        self._database.execute("UPDATE owners SET used = ? WHERE used > ?", (now, now))
        return now

    def _row(self, id: str) -> tuple[str, bytes | None] | None:
        oldest = time.time() - self._settings.store_days * _DAY_S
        row: tuple[str, bytes | None] | None = self._database.execute(
            "SELECT document, events FROM owners WHERE id = ? AND used >= ?", (id, oldest)
        ).fetchone()
        return row

    def _chain(self, id: str) -> list[str]:
        chain: dict[str, None] = {}
        at: str | None = id
        while at is not None and len(chain) < _LONGEST_CHAIN:
            row = self._row(at)
            if row is None or not at.startswith("resp_"):
                return []
            chain[at] = None
            at = _read(row[0]).get("previous_response_id")
            if at in chain:
                what = "a response follows itself"
                raise _damaged(what)
        return list(chain)

    def _items(self, owner: str, *, only_input: bool = False) -> list[Document]:
        rows = self._database.execute(
            "SELECT item FROM items WHERE owner = ? AND is_input >= ? ORDER BY number",
            (owner, only_input),
        )
        return [_read(row[0]) for row in rows]

    def _forget(self) -> None:
        oldest = time.time() - self._settings.store_days * _DAY_S
        self._database.execute("DELETE FROM owners WHERE used < ?", (oldest,))
        (total,) = self._database.execute("SELECT SUM(bytes) FROM owners").fetchone()
        if (total or 0) <= self._settings.store_bytes:
            return
        self._database.execute(
            "DELETE FROM owners WHERE id IN (SELECT id FROM (SELECT id, "
            "SUM(bytes) OVER (ORDER BY used DESC, rowid DESC) AS sum FROM owners) WHERE sum > ?)",
            (self._settings.store_bytes,),
        )

    def _require(self, id: str) -> None:
        """Refuses what was forgotten at once, and with it all that this call has changed."""
        if self._row(id) is None:
            message = f"`{id}` is larger than the `{self._settings.store_bytes}` bytes of the store"
            raise StorageError(message, hint="serve with a larger --store-size")


def _read(text: str) -> Document:
    """A stored object; the file may be damaged, or have been changed by somebody else."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        what = "what is stored is not JSON"
        raise _damaged(what) from error
    if not isinstance(found, dict):
        what = "what is stored is not an object"
        raise _damaged(what)
    return found


def _events(packed: bytes | None) -> list[Document]:
    if packed is None:
        return []
    try:
        found: list[Document] = json.loads(zlib.decompress(packed))
    except (ValueError, TypeError, RecursionError, zlib.error) as error:
        what = "stored events cannot be read"
        raise _damaged(what) from error
    return found


def _damaged(what: str) -> StorageError:
    message = f"the store is damaged: {what}"
    return StorageError(message, hint="delete the response, or choose another --store FILE")
