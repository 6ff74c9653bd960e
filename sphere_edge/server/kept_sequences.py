"""Kept sequences: keys and values of stored conversations, which go on from them after a restart.

When a model is closed, the sequences that its engine still holds of stored responses are written to
files that only their owner can read, named by the response or conversation. The files are all there
is to know: one whose response is gone, or that is damaged or of another model, is removed.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sphere_edge import errors
from sphere_edge.errors import SphereEdgeError
from sphere_edge.runtime.text import TextManager
from sphere_edge.server.store import Store

# The engine has at most 64 sequences; of older ones nothing can be left.
_MOST_REMEMBERED = 256
_SUFFIX = ".sequence"
# What a killed process left unfinished; younger ones may be another server's at work.
_LEFT_OVER_S = 3600
_log = logging.getLogger("sphere_edge")


@dataclass(frozen=True)
class Lineage:
    """Where the sequence of an answer belongs.

    `owner`: the response or conversation that will be stored with it, None: it is not stored.
    `before`: those whose sequences it may go on from, the nearest first.
    """

    owner: str | None
    before: tuple[str, ...] = ()


class KeptSequences:
    """The folder beside the store. All methods block, and may be called from any thread."""

    def __init__(self, store: Store, folder: Path, most_bytes: int) -> None:
        """Raises StorageError."""
        self._store = store
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        # By model: whose sequences its engine may hold, the newest last.
        self._held: dict[str, OrderedDict[str, None]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        except OSError as error:
            message = f"`{folder}` cannot be made: {error.strerror}"
            raise errors.StorageError(message, hint="choose another --store FILE") from error
        self.sweep()

    def resume(self, model: str, lineage: Lineage, text: TextManager) -> None:
        """Gives the engine what was kept of the nearest of `lineage.before`, unless it has it."""
        with self._lock:
            held = self._held.setdefault(model, OrderedDict())
            is_held = any(owner in held for owner in lineage.before)
            if lineage.owner is not None:
                held[lineage.owner] = None
                held.move_to_end(lineage.owner)
                if len(held) > _MOST_REMEMBERED:
                    held.popitem(last=False)
        if is_held:
            return
        for owner in lineage.before:
            path = self._path(model, owner)
            if path.exists():
                _restore(text, path, owner)
                return

    def keep(self, model: str, text: TextManager) -> None:
        """Writes what the engine still holds, when nothing runs there any more."""
        with self._lock:
            held = self._held.pop(model, OrderedDict())
        for owner in reversed(held):
            try:
                if not (chain := self._chain(owner)):
                    continue
                text.save(self._path(model, owner), sequence_key=owner)
                # It begins with theirs.
                for older in chain[1:]:
                    self._path(model, older).unlink(missing_ok=True)
            except (errors.NotFoundError, errors.UnsupportedError):
                # Another conversation has taken its sequence since, or it has images.
                continue
            except (OSError, SphereEdgeError) as error:
                _log.error("the sequence of a stored response was not kept: %s", error)
                return
        self.sweep()

    def sweep(self) -> None:
        """Removes the files of what is not stored any more, and the oldest of more than fit."""
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}*"):
            with suppress(FileNotFoundError):
                state = path.stat()
                files.append((state.st_mtime, state.st_size, path))
        total = 0
        for written, size, path in sorted(files, reverse=True):
            try:
                if path.suffix != _SUFFIX:
                    stays = time.time() - written < _LEFT_OVER_S
                elif stays := bool(self._chain(path.name.partition(".")[0])):
                    total += size
                    stays = total <= self._most_bytes
                if not stays:
                    path.unlink(missing_ok=True)
            except (OSError, SphereEdgeError) as error:
                # The others are swept, and the server goes on: nothing depends on it.
                _log.error("`%s` cannot be swept: %s", path.name, error)

    def forget(self, conversation: str) -> None:
        """Removes what is kept of a conversation that has lost an item."""
        with self._lock:
            for held in self._held.values():
                held.pop(conversation, None)
        for path in self._folder.glob(f"{conversation}.*"):
            path.unlink(missing_ok=True)

    def _chain(self, owner: str) -> list[str]:
        """The owner and all that its text has of others, none if one of them is not stored."""
        if owner.startswith("conv_"):
            return [owner] if self._store.conversation(owner) is not None else []
        return self._store.chain(owner)

    def _path(self, model: str, owner: str) -> Path:
        """An owner's id was made by this server; a model's name may have any characters."""
        digest = hashlib.sha256(model.encode()).hexdigest()[:16]
        return self._folder / f"{owner}.{digest}{_SUFFIX}"


def _restore(text: TextManager, path: Path, owner: str) -> None:
    try:
        text.restore(path, sequence_key=owner)
    except SphereEdgeError as error:
        # The whole prompt is computed then.
        _log.warning("a kept sequence is of no use: %s", error)
        path.unlink(missing_ok=True)
