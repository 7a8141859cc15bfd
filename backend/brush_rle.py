"""Label Studio's brush RLE, both ways: a mask <-> the list of bytes in ``value.rle`` of a brush region.

The stream holds four equal words (RGBA) per pixel, row by row, as bits, most significant first: 32 bits word count,
5 bits word size - 1, four times 4 bits width - 1, then chunks. A chunk is one bit *run*, two bits that choose one of the
four widths, that many bits of length - 1, then one word (run) or ``length`` words (literal), and zeros up to a byte.

Why our own code: the functions of ``label_studio_sdk`` build one character per bit and take seconds on ragged masks; the
compiled package ``label-studio-brush-rle-rs`` decodes fast but encodes smooth masks several times slower than the SDK,
names no licence, and ends the whole process on a forged word count. ``benchmarks/brush_rle.py`` measures all three.

:func:`encode` writes run chunks only, each with the narrowest width that holds it; :func:`decode` reads any valid stream,
those of the browser too, which hold literal chunks and soft edges.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_CHANNELS = 4
_WORD_BITS = 8
_WIDTHS = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * 4
_PIECE = 2 ** _WIDTHS[3] // _CHANNELS
"""Pixels in the longest chunk that the format can hold."""

_BLOCK_BYTES = 2**15
"""Bytes of a stream that are looked at together: bounds the memory of :func:`decode`, which takes some 30 times as much."""

_BLOCK_RUNS = 2**15
"""Runs that are written together, for the same reason; new memory costs more than the work on it, too."""

_MAX_PIXELS = (2**32 - 1) // _CHANNELS


class RleError(ValueError):
    """A brush RLE that is not one, or does not belong to an image of the given size."""


def _chunk_codes() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Bits of a run chunk with an empty word, and their number, by run length in pixels, 0 .. ``_PIECE``."""
    words = np.arange(_PIECE + 1, dtype=np.uint32) * _CHANNELS
    which = sum(((words > 2**width).astype(np.uint32) for width in _WIDTHS[:3]), np.zeros_like(words))
    widths = np.array(_WIDTHS, dtype=np.uint32)[which]
    head = np.uint32(4) | which
    codes = (((head << widths) | (words - np.uint32(1))) << np.uint32(_WORD_BITS)).astype(np.uint32)
    return codes, (3 + widths + _WORD_BITS).astype(np.uint8)


_CODES, _CODE_BITS = _chunk_codes()


def encode(mask: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> list[int]:
    """Encode a mask as Label Studio's brush RLE.

    Args:
        mask: ``[H, W]``; bool, or uint8 alpha 0..255 (so 255, not 1, for what is fully covered).

    Returns:
        Integers 0..255 that the SDK and the browser decode to the same mask; never more of them than the SDK writes.

    Raises:
        RleError: the mask is not two-dimensional, has no pixel or too many, or has another dtype.
    """
    if mask.dtype not in (np.bool_, np.uint8) or mask.ndim != 2 or not 0 < mask.size <= _MAX_PIXELS:
        raise RleError(
            f"cannot encode a mask of {mask.dtype} {mask.shape}: expected bool or uint8 [H, W] with 1 to {_MAX_PIXELS} pixels; "
            "compare with a threshold first"
        )
    lengths, words = _runs(np.ascontiguousarray(mask).ravel())
    packer = _Packer()
    packer.add(*_header(mask.size))
    for first in range(0, lengths.size, _BLOCK_RUNS):
        block = lengths[first : first + _BLOCK_RUNS]
        packer.add(_CODES[block] | words[first : first + _BLOCK_RUNS], _CODE_BITS[block])
    return list(packer.finish())


def _header(n_pixels: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """The header as two words of at most 32 bits, with their numbers of bits."""
    layout = _WORD_BITS - 1
    for width in _WIDTHS:
        layout = layout << 4 | width - 1
    return np.array([n_pixels * _CHANNELS, layout], dtype=np.uint32), np.array([32, _HEADER_BITS - 32], dtype=np.uint8)


def _runs(flat: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Lengths in pixels (at most ``_PIECE``) and words 0..255 of the runs of equal pixels."""
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(starts, append=flat.size)
    words = flat[starts].astype(np.uint8)
    if flat.dtype == np.bool_:
        words *= np.uint8(255)
    if lengths.max() <= _PIECE:
        return lengths, words
    pieces = -(-lengths // _PIECE)
    split = np.full(pieces.sum(), _PIECE)
    split[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _PIECE
    return split, np.repeat(words, pieces)


class _Packer:
    """Codes of at most 32 bits one behind the other, as bytes."""

    def __init__(self) -> None:
        self._cells: list[bytes] = []
        self._open: npt.NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
        self._open_bits: npt.NDArray[np.uint8] = np.empty(0, dtype=np.uint8)
        """What does not fill a cell of 32 bits yet, as no code or one."""

    def add(self, codes: npt.NDArray[np.uint32], n_bits: npt.NDArray[np.uint8]) -> None:
        """Codes, at least one, of the given numbers of bits."""
        codes, n_bits = np.concatenate([self._open, codes]), np.concatenate([self._open_bits, n_bits])
        ends = np.cumsum(n_bits, dtype=np.int64)
        starts = ends - n_bits
        # Each code lies in the cell where it starts and perhaps the next one; every cell has a start, as no code is longer.
        placed = codes.astype(np.uint64) << (64 - n_bits - (starts & 31).astype(np.uint8)).astype(np.uint64)
        first = np.flatnonzero(np.diff(starts >> 5, prepend=-1))
        packed = np.zeros(first.size + 1, dtype=np.uint32)
        packed[:-1] = np.bitwise_or.reduceat((placed >> np.uint64(32)).astype(np.uint32), first)
        packed[1:] |= placed[np.append(first[1:], placed.size) - 1].astype(np.uint32)
        full, open_bits = divmod(int(ends[-1]), 32)
        self._cells.append(packed[:full].astype(">u4").tobytes())
        self._open = packed[full : full + bool(open_bits)] >> np.uint32(32 - open_bits)
        self._open_bits = np.full(self._open.size, open_bits, dtype=np.uint8)

    def finish(self) -> bytes:
        """All of it, with zeros up to a byte."""
        last = b""
        if self._open.size:
            bits = int(self._open_bits[0])
            last = (int(self._open[0]) << 32 - bits).to_bytes(4, "big")[: -(-bits // 8)]
        return b"".join([*self._cells, last])


def decode(rle: Sequence[int], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Decode Label Studio's brush RLE to the alpha of every pixel.

    A human stroke has soft edges: what counts as covered is ``decode(...) >= 128``.

    Args:
        rle: integers 0..255 as found in ``value.rle`` (a list, tuple or bytes).
        size_hw: height and width of the image in pixels, from a source that is trusted: this much memory is taken.

    Returns:
        uint8 ``[H, W]``.

    Raises:
        RleError: not a list of integers 0..255, cut short, or made for an image of another size.
    """
    data = _to_bytes(rle)
    n_words = size_hw[0] * size_hw[1] * _CHANNELS
    widths = _read_header(data, size_hw)
    stream = _every_byte(data)
    alpha = np.empty(n_words // _CHANNELS, dtype=np.uint8)
    done = 0
    for starts in _chunk_starts(data, widths):
        words, word_ends = _chunk_words(stream, widths, starts, n_words - done)
        # Alpha is the last of a pixel's four words, so a run covers as many pixels as it holds such words.
        pixel_ends = (done + word_ends) // _CHANNELS
        first_pixel = done // _CHANNELS
        alpha[first_pixel : pixel_ends[-1]] = np.repeat(words, np.diff(pixel_ends, prepend=first_pixel))
        done += int(word_ends[-1])
        if done == n_words:
            return alpha.reshape(size_hw)
    raise _cut_short(stream)


def _to_bytes(rle: Sequence[int]) -> bytes:
    if isinstance(rle, (list, tuple, bytes)):
        try:
            return bytes(rle)
        except (TypeError, ValueError):
            pass
    raise RleError(
        f"brush RLE is not a list of integers 0..255 (found {_describe(rle)}); "
        "send the list from value.rle of a Label Studio brush region unchanged"
    )


def _describe(rle: object) -> str:
    """What is wrong with an input that does not convert, in a few words."""
    if not isinstance(rle, (list, tuple)):
        return f"a {type(rle).__name__}"
    index, item = next((i, item) for i, item in enumerate(rle) if not (isinstance(item, int) and 0 <= item <= 255))
    if not isinstance(item, int):
        return f"a {type(item).__name__} at index {index}"
    return f"a number {'below 0' if item < 0 else 'above 255'} at index {index}"


def _read_header(data: bytes, size_hw: tuple[int, int]) -> tuple[int, ...]:
    """The four widths of lengths in bits, after checking word count and word size."""
    height, width = size_hw
    if height < 1 or width < 1:
        raise RleError(f"cannot decode to {width}x{height} pixels: expected at least 1x1; give the size of the image")
    header = int.from_bytes(data[:8].ljust(8, b"\0"), "big") >> 64 - _HEADER_BITS
    n_words, word_bits = header >> 21, (header >> 16 & 31) + 1
    if len(data) * 8 < _HEADER_BITS:
        raise RleError(f"brush RLE of {len(data)} bytes is too short for its header of 7 bytes; send value.rle whole")
    if n_words != height * width * _CHANNELS:
        raise RleError(
            f"brush RLE holds {n_words} words, an image of {width}x{height} needs {height * width * _CHANNELS}; "
            "check original_width and original_height of the region"
        )
    if word_bits != _WORD_BITS:
        raise RleError(f"brush RLE has words of {word_bits} bits, expected {_WORD_BITS} as Label Studio writes them")
    return tuple((header >> shift & 15) + 1 for shift in (12, 8, 4, 0))


def _chunk_starts(data: bytes, widths: tuple[int, ...]) -> Iterator[npt.NDArray[np.int64]]:
    """Bit offsets of all chunks in the stream, block by block, zeros at its end included where they read as chunks.

    Where a chunk starts is known only once the one before it is read. So the size of the run chunk that *would* start at
    each bit is worked out for a whole block of bits at once, which leaves one look-up and one addition per chunk to do in turn.
    """
    run_steps = np.array([0] * 4 + [3 + width + _WORD_BITS for width in widths], dtype=np.uint8)
    offset = _HEADER_BITS
    for first_byte in range(0, len(data), _BLOCK_BYTES):
        block = data[first_byte : first_byte + _BLOCK_BYTES + 1]  # one more, as the head of the last chunk may reach into it
        bits = np.unpackbits(np.frombuffer(block + b"\0", dtype=np.uint8))
        steps = run_steps[bits[:-2] << 2 | bits[1:-1] << 1 | bits[2:]].tobytes()
        starts = array("q")
        append = starts.append
        first_bit = first_byte * 8
        offset -= first_bit
        end = min(len(block), _BLOCK_BYTES) * 8
        while offset < end:
            append(offset)
            offset += steps[offset] or _literal_step(data, first_bit + offset, widths)
        offset += first_bit
        if starts:  # a literal chunk may be longer than a block
            yield np.frombuffer(starts, dtype=np.int64) + first_bit


def _literal_step(data: bytes, offset: int, widths: tuple[int, ...]) -> int:
    """Number of bits of the literal chunk at a bit offset."""
    window = int.from_bytes(data[offset >> 3 : (offset >> 3) + 4].ljust(4, b"\0"), "big") << (offset & 7)
    width = widths[window >> 29 & 3]
    length = (window >> 29 - width & (1 << width) - 1) + 1
    return 3 + width + length * _WORD_BITS


def _chunk_words(
    stream: npt.NDArray[np.uint64], widths: tuple[int, ...], starts: npt.NDArray[np.int64], most_words: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The words of the chunks in order, ``most_words`` at most, and for each how many are out once it is repeated as its chunk says."""
    heads = _bits_from(stream, starts)
    kinds = (heads >> np.uint64(61)).astype(np.uint8)
    width = np.array(widths * 2, dtype=np.uint8)[kinds]
    lengths = ((heads << np.uint64(3)) >> (64 - width).astype(np.uint64)).astype(np.int64) + 1
    word_ends = np.cumsum(lengths)
    n_chunks = min(int(np.searchsorted(word_ends, most_words)) + 1, starts.size)
    lengths, word_ends = lengths[:n_chunks], word_ends[:n_chunks]
    is_literal = kinds[:n_chunks] < 4
    positions = starts[:n_chunks] + 3 + width[:n_chunks]
    counts = np.where(is_literal, lengths, 1)
    if int(positions[-1] + counts[-1] * _WORD_BITS) > 8 * (stream.size - 1):
        raise _cut_short(stream)
    if word_ends[-1] > most_words:
        raise RleError("brush RLE has a chunk that runs past the image's last pixel; the stream is damaged, make the region again")
    if is_literal.any():
        in_chunk = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        positions = np.repeat(positions, counts) + in_chunk * _WORD_BITS
        word_ends = np.cumsum(np.repeat(np.where(is_literal, 1, lengths), counts))
    return (_bits_from(stream, positions) >> np.uint64(64 - _WORD_BITS)).astype(np.uint8), word_ends


def _cut_short(stream: npt.NDArray[np.uint64]) -> RleError:
    return RleError(f"brush RLE of {stream.size - 1} bytes ends before the image's last pixel; send value.rle whole")


def _every_byte(data: bytes) -> npt.NDArray[np.uint64]:
    """The 64 bits from each byte on and, last, from the end on; zeros behind the end. A view, whose items are big-endian."""
    return np.ndarray(len(data) + 1, dtype=">u8", buffer=data + bytes(8), strides=(1,))


def _bits_from(stream: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """At least 57 bits of the stream (:func:`_every_byte`) from each bit offset on, in the high bits."""
    words: npt.NDArray[np.uint64] = stream[offsets >> 3].astype(np.uint64)
    return words << (offsets & 7).astype(np.uint64)
