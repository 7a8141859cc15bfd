"""Pickles give plain data or an explanation; nothing in them is ever run."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.readers.plain_pickle import load_plain_pickle
from models.data.readers.source import DatasetReadError
from tests.refer_world import pickle_of_python2

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@settings(max_examples=80, deadline=None)
@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_data_of_any_protocol_are_read(tmp_path_factory: Any, value: Any, protocol: int) -> None:
    path = save(tmp_path_factory.mktemp("pickles") / "a.p", pickle.dumps(value, protocol))
    assert load_plain_pickle(path) == value


def test_texts_of_python_2_are_read_as_latin_1(tmp_path: Path) -> None:
    value = [{"sent": "the café's left chair", "raw": 'a "quoted" \\ one', "sent_id": 7}]
    data = pickle_of_python2(value)
    assert b'\nS"the caf\\xe9' in data
    assert load_plain_pickle(save(tmp_path / "a.p", data)) == value


class RunsCode:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self._answer = call, arguments

    def __reduce__(self) -> Any:
        return self._answer


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_pickle_does_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    path = save(tmp_path / "a.p", pickle.dumps([{"sentences": RunsCode(os.mkdir, str(mark))}], protocol))
    with pytest.raises(DatasetReadError, match=r"wants to run .*GLOBAL"):
        load_plain_pickle(path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists(), "it was a pickle that runs code"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(OrderedDict(a=1), id="class of the standard library"),
        pytest.param({1, 2}, id="set"),
        pytest.param(RunsCode(subprocess.Popen, ["true"]), id="another program"),
        pytest.param(Path("a"), id="object"),
    ],
)
def test_what_is_no_plain_data_is_refused_by_name(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DatasetReadError, match=r"refs\(x\)\.p is not read: at byte \d+ it wants to run"):
        load_plain_pickle(save(tmp_path / "refs(x).p", pickle.dumps([value], 2)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\x80\x02]r\xf0\xff\xff\xff.", "a memo beyond all bounds", id="memo of billions"),
        pytest.param(b"]p4000000000\n.", "a memo beyond all bounds", id="memo of billions, as text"),
        pytest.param(b")" * 20_000 + b".", "tuples beyond all bounds", id="endless tuples"),
        pytest.param(b"\x82\x01.", "EXT1", id="extension"),
        pytest.param(b"Pwhatever\n.", "PERSID", id="persistent object"),
        pytest.param(b"", "damaged or ends", id="empty"),
        pytest.param(b"not a pickle", "damaged or ends", id="text"),
        pytest.param(b"a.", "damaged or ends", id="takes from an empty stack"),
        pytest.param(b"h\x05.", "damaged or ends", id="asks for what it never kept"),
        pytest.param(b"}]Ns.", "damaged or ends", id="list as a key"),
        pytest.param(b"\x8d" + b"\xff" * 8 + b"a.", "damaged or ends", id="text of endless length"),
    ],
)
def test_damaged_and_hostile_pickles_get_an_explanation(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(DatasetReadError, match=words):
        load_plain_pickle(save(tmp_path / "a.p", data))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_cut_anywhere_is_refused(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps([{"sent": "left dog", "sent_id": 2**40, "tokens": ["left", "dog"]}], protocol)
    for length in range(len(data)):
        with pytest.raises(DatasetReadError):
            load_plain_pickle(save(tmp_path / "a.p", data[:length]))


def test_a_missing_pickle_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetReadError, match="check the path"):
        load_plain_pickle(tmp_path / "a.p")
