"""Token ids: CLIP's own for the whole vocabulary, a few rows for a small one."""

from __future__ import annotations

import time

import open_clip
import pytest
import torch

from models.ssp_sam.tokenizer import LONGEST_PHRASE, PhraseTokenizer, vocabulary_of

PHRASES = [
    pytest.param("the red car on the left", id="plain"),
    pytest.param("  Woman in BLUE, 2nd from left!! ", id="case, spaces, marks"),
    pytest.param("a dog." * 60, id="too long for the context"),
    pytest.param("the biggest 🍕 next to 🧑‍🚀", id="emoji"),
    pytest.param("der größte Hund, 左から二番目の犬, собака слева", id="not English"),
    pytest.param("caf&eacute; &lt;b&gt; l&#39;ami", id="HTML entities"),
    pytest.param("", id="empty"),
    pytest.param("\t\n ", id="blank"),
    pytest.param("a\x00b \ud800 c", id="control characters and half a surrogate pair"),
    pytest.param("<end_of_text> dog", id="special token typed"),
]


@pytest.mark.parametrize("phrase", PHRASES)
@pytest.mark.parametrize("context", [77, 16])
def test_the_whole_vocabulary_gives_open_clips_ids_of_the_phrase_with_a_full_stop(phrase, context):
    expected = open_clip.tokenize([f"{phrase.lower().strip()}."], context_length=context)
    assert torch.equal(PhraseTokenizer(context)([phrase]), expected)


def test_only_the_first_of_joined_sentences_counts():
    tokenizer = PhraseTokenizer(77)
    assert torch.equal(tokenizer(["left dog ||| the brown dog"]), tokenizer(["left dog"]))
    assert not torch.equal(tokenizer(["left dog | the brown dog"]), tokenizer(["left dog"]))


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_small_vocabulary_starts_with_its_start_and_ends_with_its_largest_id(phrase):
    tokenizer = PhraseTokenizer(16, vocabulary_of(["the red car on the left"]))
    (ids,) = tokenizer([phrase])
    end = int(ids.argmax())
    assert ids[0] == tokenizer.start_id == tokenizer.vocab_size - 2
    assert ids[end] == tokenizer.end_id == tokenizer.vocab_size - 1
    assert (ids[:end] != 0).all()
    assert not ids[end + 1 :].any()


def test_known_words_keep_rows_of_their_own_and_unknown_ones_share_one():
    tokenizer = PhraseTokenizer(16, vocabulary_of(["the red car", "the blue cat"]))
    known, permuted, unknown = tokenizer(["the red car", "the car red", "the zebra"])
    assert sorted(known.tolist()) == sorted(permuted.tolist())
    assert not torch.equal(known, permuted)
    assert 1 not in known
    assert 1 in unknown
    assert tokenizer.unknown_words("The zebra, blue CAT") == ["zebra,"]


def test_every_row_of_a_small_vocabulary_is_reached():
    vocabulary = vocabulary_of(["the red car", "the blue cat"])
    ids = PhraseTokenizer(16, vocabulary)(["the red car", "the blue cat"])
    assert set(ids.unique().tolist()) == {0, *range(2, len(vocabulary) + 4)}


def test_clips_whole_vocabulary_knows_every_word():
    assert PhraseTokenizer(77).unknown_words("zebra qwrtzu 犬") == []


def test_a_single_word_of_100_000_letters_costs_no_time_to_speak_of():
    tokenizer = PhraseTokenizer(77)
    word = "abcdefghijklmnopqrstuvwxyz"[::-1] * 4000
    start = time.perf_counter()
    ids = tokenizer([word])
    assert time.perf_counter() - start < 10  # uncut: minutes
    assert torch.equal(ids, tokenizer([word[:LONGEST_PHRASE]]))


def test_no_phrases_give_no_rows():
    assert PhraseTokenizer(77)([]).shape == (0, 77)
