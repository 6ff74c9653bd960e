"""The entry point: runs a command line and turns every ending into a sentence and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from sphere_edge import cli, console
from sphere_edge.errors import (
    NO_ROOM,
    CancelledError,
    InternalError,
    SphereEdgeError,
    Status,
    StorageError,
)

# BSD sysexits.h EX_USAGE: the command line itself is wrong; above every status code.
USAGE = 64
# What a shell reports for a program that died of SIGPIPE.
PIPE_CLOSED = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `sphere-edge` with `arguments` (default: the process's own); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # As an exception, so that half-written files are removed; 128 + signal as shells count.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # To adb an empty one is as good as none; adbutils reads it when it is imported, and fails.
    if not os.environ.get("ANDROID_ADB_SERVER_PORT"):
        os.environ.pop("ANDROID_ADB_SERVER_PORT", None)
    for stream in (sys.stdout, sys.stderr):
        # A Latin-1 terminal shows a question mark for an emoji instead of ending the answer.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    console.show_log()
    try:
        return _run(words)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python would complain again at its last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _run(words: list[str]) -> int:
    try:
        action = cli.parse(words)
        status = action() if action is not None else None
        sys.stdout.flush()
    except cli.UsageError as error:
        console.error(error.message, error.hint)
        if "--json" in words:
            console.write_json(console.as_error(USAGE, "USAGE", error.message, error.hint))
        return USAGE
    except SphereEdgeError as error:
        return _failed(error, words)
    except KeyboardInterrupt:
        return _failed(CancelledError("cancelled"), words)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None and error.errno not in NO_ROOM:
            return _bug(words)
        return _failed(_from_os(error), words)
    except Exception:
        return _bug(words)
    return status or Status.OK


def _failed(error: SphereEdgeError, words: list[str]) -> int:
    console.error(error.message, error.hint)
    if "--json" in words:
        console.write_json(console.error_as_json(error))
    return error.code


def _from_os(error: OSError) -> StorageError:
    """The system's own refusal: no permission, full disk, no such folder."""
    reason = (error.strerror or type(error).__name__).lower()
    hint = "free some space or choose another folder" if error.errno in NO_ROOM else None
    if error.filename is None:
        return StorageError(reason, hint=hint)
    return StorageError(f"cannot use `{os.fsdecode(error.filename)}`: {reason}", hint=hint)


def _bug(words: list[str]) -> int:
    traceback.print_exc()
    hint = "report it with the lines above and the output of `sphere-edge doctor`"
    return _failed(InternalError("this is a bug in sphere-edge", hint=hint), words)


def run() -> None:
    """The process itself: `main`, then an end with its exit code."""
    code = main()
    if code == Status.CANCELLED:
        # Once an interrupt has passed through an exec(), as in imports of dataclasses, CPython ends
        # by SIGINT however it was answered (Modules/main.c); this keeps our code.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
