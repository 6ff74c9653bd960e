"""Which form of a model is wanted, where a name can mean several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["safetensors", "gguf", "whisper", "diffusion"]


@dataclass(frozen=True)
class Wanted:
    """The format, the revision on the hub, and whether another format will do.

    `kind` None: safetensors before GGUF. `revision` None: main. `is_convertible`: where a GGUF is
    wanted and there is none, safetensors serve.
    """

    kind: Kind | None = None
    revision: str | None = None
    is_convertible: bool = False


ANY = Wanted()
