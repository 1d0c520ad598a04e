"""Split any prompt into pieces the text encoder knows.

Words are cut into the longest known pieces (learnt by byte-pair merging from the training
captions); a character no piece begins with falls into one of a few hashed pieces, so every prompt
has an encoding. Pictographs are read by their Unicode names: a cat sign means "cat face".
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

PAD, START = 0, 1
HASHED = 64  # pieces for unknown characters, ids 2 to 65
FIRST_PIECE = 2 + HASHED
WORD_START = "^"
MAX_TOKENS = 24
_WORD = re.compile(r"\w+", re.UNICODE)


def words_of(prompt: str) -> list[str]:
    """Lower-case words without accents; pictographs become the words of their names."""
    spelled = "".join(
        f" {unicodedata.name(char, '')} " if unicodedata.category(char) == "So" else char
        for char in prompt
    )
    plain = unicodedata.normalize("NFKD", spelled.replace("'", "").replace("\u2019", ""))
    kept = "".join(char for char in plain if not unicodedata.combining(char))
    return _WORD.findall(kept.lower().replace("_", " "))


class Tokenizer:
    """`pieces` in order of their ids; a piece that begins a word begins with `^`."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self.pieces = list(pieces)
        self._ids = {piece: FIRST_PIECE + n for n, piece in enumerate(self.pieces)}
        self._longest = max((len(piece) for piece in self.pieces), default=1)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        return cls(json.loads(path.read_text(encoding="utf-8"))["pieces"])

    @property
    def size(self) -> int:
        return FIRST_PIECE + len(self.pieces)

    def split(self, word: str, longest: Callable[[], int] | None = None) -> list[int]:
        """The ids of one word; `longest` bounds a piece's length (training varies it)."""
        text, at, ids = WORD_START + word, 0, []
        while at < len(text):
            limit = max(2, longest()) if longest else self._longest
            for end in range(min(len(text), at + limit), at, -1):
                if text[at:end] in self._ids:
                    ids.append(self._ids[text[at:end]])
                    break
            else:
                end = at + 1
                if text[at] != WORD_START:
                    ids.append(2 + zlib.crc32(text[at].encode()) % HASHED)
            at = end
        return ids

    def encode(self, prompt: str, longest: Callable[[], int] | None = None) -> list[int]:
        """`MAX_TOKENS` ids: the start, the pieces, padding. What is too long is cut off."""
        ids = [START]
        for word in words_of(prompt):
            ids += self.split(word, longest)
        return (ids + [PAD] * MAX_TOKENS)[:MAX_TOKENS]
