"""From a phrase to token ids (spec section 2.4).

The byte-pair encoding is open_clip's. The tiny model keeps only the rows of the embedding table that its grammar can reach: its
``vocabulary`` lists the byte-pair ids it knows, everything else becomes one "unknown" row. The order of ids stays what CLIP relies on:
0 is padding and the end token is the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

FIRST_MERGE = 512
"""Byte-pair ids below are single letters; from here on they are pieces of words, the most frequent first."""

SENTENCE_SEPARATOR = " ||| "
"""Data sets join alternative sentences with this; only the first counts."""

LONGEST_PHRASE = 4000
"""Characters read of a phrase: more than any context length holds. Byte-pair encoding takes seconds for one word of 10,000 letters."""


@lru_cache(maxsize=1)
def _byte_pair_encoding() -> SimpleTokenizer:
    # Reading the merge table takes a tenth of a second, so all tokenizers share one.
    return SimpleTokenizer()


def normalise_phrase(phrase: str) -> str:
    """Lower case, stripped, first alternative only, with the full stop the published models were trained with."""
    first = phrase.lower().strip().split(SENTENCE_SEPARATOR)[0]
    return f"{first[:LONGEST_PHRASE]}."


class PhraseTokenizer:
    """Phrases -> int64 ``[K, T]``.

    Args:
        context_length: T; longer phrases are cut, the end token stays.
        vocabulary: byte-pair ids the model knows, in the order of its rows; ``None`` for CLIP's whole table.
    """

    def __init__(self, context_length: int, vocabulary: Sequence[int] | None = None) -> None:
        self.context_length = context_length
        self.vocabulary = None if vocabulary is None else tuple(vocabulary)
        encoding = _byte_pair_encoding()
        if self.vocabulary is None:
            self.vocab_size = encoding.vocab_size
            self._rows: dict[int, int] | None = None
        else:
            # Row 0 pads, row 1 is "unknown", the last two start and end a phrase.
            self.vocab_size = len(self.vocabulary) + 4
            self._rows = {piece: row for row, piece in enumerate(self.vocabulary, start=2)}
        self.start_id, self.end_id = self.vocab_size - 2, self.vocab_size - 1

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """Token ids int64 ``[K, T]`` of the phrases, zero padded."""
        ids = torch.zeros(len(phrases), self.context_length, dtype=torch.int64)
        for row, phrase in enumerate(phrases):
            pieces = self._encode(phrase)[: self.context_length - 2]
            tokens = [self.start_id, *pieces, self.end_id]
            ids[row, : len(tokens)] = torch.tensor(tokens)
        return ids

    def unknown_words(self, phrase: str) -> list[str]:
        """The words of a phrase that this model has never seen; empty for CLIP's whole table."""
        if self._rows is None:
            return []
        words = normalise_phrase(phrase).removesuffix(".").split()
        return [word for word in words if any(piece not in self._rows for piece in _byte_pair_encoding().encode(word))]

    def _encode(self, phrase: str) -> list[int]:
        pieces = _byte_pair_encoding().encode(normalise_phrase(phrase))
        return pieces if self._rows is None else [self._rows.get(piece, 1) for piece in pieces]


def vocabulary_of(phrases: Iterable[str]) -> list[int]:
    """The byte-pair ids that occur in ``phrases``, sorted: the vocabulary for a model that knows just these words."""
    pieces = {piece for phrase in phrases for piece in _byte_pair_encoding().encode(normalise_phrase(phrase))}
    return sorted(pieces)
