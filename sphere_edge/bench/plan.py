"""What to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """`threads` 0: all performance cores; `sustain_s` 0: not; `cool_below_c` None: at once."""

    prompt_tokens: tuple[int, ...] = (128,)
    new_tokens: int = 64
    repeat: int = 5
    threads: int = 0
    sustain_s: int = 0
    cool_below_c: float | None = None
    # How often the model is loaded anew to time it.
    loads: int = 3

    def words(self) -> list[str]:
        """For `sphere-edge-run bench MODEL`."""
        return [
            *("--prompt-tokens", ",".join(map(str, self.prompt_tokens))),
            *("--new-tokens", str(self.new_tokens), "--repeat", str(self.repeat)),
            *(("--sustain", str(self.sustain_s)) if self.sustain_s else ()),
            *(("--threads", str(self.threads)) if self.threads else ()),
        ]

    def load_words(self) -> list[str]:
        """The least that loads the model and has it say how long that took."""
        return ["--prompt-tokens", "1", "--new-tokens", "0", "--repeat", "1"]
