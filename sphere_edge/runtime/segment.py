"""A segment of a transcript, with its words and tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sphere_edge.runtime import binding


@dataclass(frozen=True)
class Word:
    """A word of a segment; `probability` is the mean of its tokens'."""

    start_ms: int
    end_ms: int
    text: str
    probability: float


@dataclass(frozen=True)
class Token:
    """A token of a segment; bytes in `text` that alone are not UTF-8 are U+FFFD."""

    id: int
    text: str
    probability: float


@dataclass(frozen=True)
class Segment:
    """A piece of the transcript: a phrase or a sentence. Times are from the beginning of the audio.

    `no_speech_probability`: that there is no speech. `words` only if they were requested.
    """

    start_ms: int
    end_ms: int
    text: str
    language: str
    probability: float
    no_speech_probability: float
    words: tuple[Word, ...] = ()
    tokens: tuple[Token, ...] = ()

    def later(self, offset_ms: int) -> Segment:
        """The same, `offset_ms` later."""
        return replace(
            self,
            start_ms=self.start_ms + offset_ms,
            end_ms=self.end_ms + offset_ms,
            words=tuple(
                replace(word, start_ms=word.start_ms + offset_ms, end_ms=word.end_ms + offset_ms)
                for word in self.words
            ),
        )


def segment_of(filled: binding.AudioSegment) -> Segment:
    """A copy of the C struct, which is valid only during the callback."""
    return Segment(
        start_ms=filled.start_ms,
        end_ms=filled.end_ms,
        text=filled.text.decode("utf-8", "replace"),
        language=filled.language.decode(),
        probability=filled.probability,
        no_speech_probability=filled.no_speech_probability,
        words=tuple(
            Word(
                word.start_ms,
                word.end_ms,
                word.text.decode("utf-8", "replace"),
                word.probability,
            )
            for word in filled.words[: filled.word_count]
        ),
        tokens=tuple(
            Token(token.id, token.text.decode("utf-8", "replace"), token.probability)
            for token in filled.tokens[: filled.token_count]
        ),
    )
