"""What `sphere-edge serve` was started with, and the limits that hold for every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one request may ask for; whoever sends more gets a 4xx that names the limit."""

    # As OpenAI's for audio; JSON is never that long.
    upload_bytes: int = 256 * MIB
    json_bytes: int = 16 * MIB
    json_depth: int = 64
    schema_bytes: int = 64 * 1024
    audio_seconds: int = 4 * 3600
    image_pixels: int = 2048 * 2048
    # A body that is silent for that long, or as much behind that rate, is given up. Speech that is
    # recorded while it is sent comes as 2 (Opus) to 32 KiB a second.
    body_patience_s: float = 60.0
    body_bytes_per_s: int = 1024
    # Of the images in a request, together: what a phone's camera makes.
    chat_image_pixels: int = 8192 * 6144
    chat_images: int = 32


@dataclass(frozen=True)
class Settings:
    """How the server runs.

    `api_keys` empty: none is asked for, which is allowed on loopback only. `origins`: foreign pages
    that may call it, `*` for all. `waiting`: requests that may wait for one model. `keep_alive_s`:
    how long an unused model stays loaded, None: until its memory is needed. `opens_at_start`: all
    are open before the first request. `store`: the file of the stored responses, None: nothing is
    stored. `trusted_keys`: a file of public keys, one of which must have signed each bundle.
    `prompt_lookup`: answers are drafted from what they repeat. `draft_models`: of
    `serve --draft-model`, MODEL or NAME=MODEL.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    lenient: bool = False
    extensions: bool = False
    parallel: int = 1
    waiting: int = 64
    timeout_s: float = 600.0
    keep_alive_s: float | None = None
    opens_at_start: bool = False
    memory_bytes: int | None = None
    threads: int = 0
    context_tokens: int | None = None
    trusted_keys: Path | None = None
    prompt_lookup: bool = False
    draft_models: tuple[str, ...] = ()
    store: Path | None = None
    store_bytes: int = 256 * MIB
    store_days: float = 30.0
    # Of files with the keys and values of stored conversations; 0: none are kept.
    sequence_bytes: int = 1024 * MIB
    limits: Limits = field(default_factory=Limits)
