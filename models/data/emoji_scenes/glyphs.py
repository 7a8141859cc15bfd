"""Where the pictures come from: colour emoji of five vendors, read out of pinned npm packages into a bank of glyphs."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.emoji_scenes.colors import color_shares, dominant_color, present_colors, recolor
from models.data.emoji_scenes.vocabulary import CLASSES, CODEPOINTS, HUES, RECOLORABLE

GLYPH_SIZE = 128
"""Longer side in pixels that vector and large glyphs are kept at; smaller sources keep their own size."""


class GlyphSourceError(RuntimeError):
    """A glyph package could not be fetched, or is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class GlyphPackage:
    """One npm package of emoji artwork."""

    style: str
    name: str
    version: str
    sha256: str
    """Digest of the tarball as the registry serves it."""
    member: str
    """Path of a glyph inside the tarball, with ``{}`` for the code points."""

    @property
    def tarball(self) -> str:
        """File name that ``npm pack`` gives the package."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"

    def member_of(self, name: str) -> str:
        """Path of the glyph of a class inside the tarball."""
        codepoints = CODEPOINTS[name]
        return self.member.format(codepoints.removesuffix("-fe0f").upper() if self.style == "openmoji" else codepoints)


PACKAGES: Mapping[str, GlyphPackage] = MappingProxyType(
    {
        package.style: package
        for package in (
            GlyphPackage(
                "noto",
                "emoji-datasource-google",
                "16.0.0",
                "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
                "package/img/google/64/{}.png",
            ),
            GlyphPackage(
                "twemoji",
                "emoji-datasource-twitter",
                "16.0.0",
                "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
                "package/img/twitter/64/{}.png",
            ),
            GlyphPackage(
                "fluent-3d",
                "@lobehub/fluent-emoji-3d",
                "1.1.0",
                "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
                "package/assets/{}.webp",
            ),
            GlyphPackage(
                "fluent-flat",
                "@lobehub/fluent-emoji-flat",
                "1.1.0",
                "8f9113c027c7c20eced0070354715a4093a459b8bef6332b91d45f38c9bdb147",
                "package/assets/{}.svg",
            ),
            GlyphPackage(
                "openmoji",
                "openmoji",
                "17.0.0",
                "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
                "package/color/svg/{}.svg",
            ),
        )
    }
)
"""Style -> its package."""

TRAIN_STYLES: tuple[str, ...] = ("noto", "twemoji", "fluent-3d", "fluent-flat")
HELD_OUT_STYLE = "openmoji"
"""Never trained on, and never committed: its artwork is share-alike."""


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """One picture of one class, in one vendor's style and one colour."""

    name: str
    """Its class."""
    style: str
    color: str | None
    """The colour that most of it has, or ``None``."""
    colors: tuple[str, ...]
    """Every colour that can be seen in it."""
    recolored: bool
    """Whether the colour is ours and not the vendor's."""
    levels: tuple[npt.NDArray[np.uint8], ...]
    """Premultiplied uint8 ``[h, w, 4]``, cropped to its visible part, each level half as large as the one before."""


@dataclass(frozen=True, slots=True, eq=False)
class GlyphBank:
    """All glyphs, found by style and class."""

    glyphs: Mapping[tuple[str, str], tuple[Glyph, ...]]
    """(style, class) -> the vendor's own glyph first, then its colour variants."""

    @property
    def styles(self) -> tuple[str, ...]:
        """Styles in the bank, in the order they were given."""
        return tuple(dict.fromkeys(style for style, _ in self.glyphs))

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the bank."""
        return tuple(dict.fromkeys(name for _, name in self.glyphs))

    def only(self, classes: Collection[str]) -> GlyphBank:
        """The same with some of the classes."""
        return GlyphBank({key: glyphs for key, glyphs in self.glyphs.items() if key[1] in classes})

    def of(self, style: str, name: str) -> tuple[Glyph, ...]:
        """Glyphs of a class in a style, the vendor's own first.

        Raises:
            KeyError: the bank lacks them.
        """
        if (style, name) not in self.glyphs:
            raise KeyError(f"no glyph of {name!r} in style {style!r}; the bank holds the styles {', '.join(self.styles)}")
        return self.glyphs[style, name]


def fetch_glyph_packages(cache_dir: Path, styles: Iterable[str] = TRAIN_STYLES) -> dict[str, Path]:
    """Make sure that the tarballs of ``styles`` lie in ``cache_dir`` and are the pinned ones; return style -> path.

    Raises:
        GlyphSourceError: a style is unknown, npm is missing or fails, or a tarball differs from its pinned digest.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for style in styles:
        if style not in PACKAGES:
            raise GlyphSourceError(f"unknown glyph style {style!r}; known styles: {', '.join(PACKAGES)}")
        package = PACKAGES[style]
        paths[style] = cache_dir / package.tarball
        if not paths[style].exists():
            _npm_pack(package, cache_dir)
        found = hashlib.sha256(paths[style].read_bytes()).hexdigest()
        if found != package.sha256:
            raise GlyphSourceError(
                f"{paths[style]} has SHA-256 {found}, expected {package.sha256}; delete the file and run again to fetch it anew"
            )
    return paths


def build_bank(cache_dir: Path, styles: Iterable[str] = TRAIN_STYLES, *, size: int = GLYPH_SIZE) -> GlyphBank:
    """Fetch the packages of ``styles`` where needed and build every glyph and colour variant; takes seconds.

    Args:
        cache_dir: folder of the tarballs.
        styles: keys of :data:`PACKAGES`.
        size: longer side in pixels to keep glyphs at where their source allows.

    Raises:
        GlyphSourceError: as :func:`fetch_glyph_packages`, or a tarball lacks a class.
    """
    glyphs: dict[tuple[str, str], tuple[Glyph, ...]] = {}
    for style, path in fetch_glyph_packages(cache_dir, styles).items():
        for name, picture in read_pictures(PACKAGES[style], path, size).items():
            glyphs[style, name] = make_glyphs(name, style, picture)
    return GlyphBank(glyphs)


def make_glyphs(name: str, style: str, rgba: npt.NDArray[np.uint8]) -> tuple[Glyph, ...]:
    """The glyph of one picture and its colour variants.

    Args:
        name: class of the picture.
        style: vendor.
        rgba: uint8 ``[H, W, 4]``, not premultiplied.
    """
    rgba = _crop(rgba)
    shares = color_shares(rgba)
    own = Glyph(name, style, dominant_color(shares), present_colors(shares), False, _levels(rgba))
    wanted = [color for color in HUES if color != own.color] if name in RECOLORABLE else []
    changed = {color: picture for color in wanted if (picture := recolor(rgba, color)) is not None}
    variants = [
        Glyph(name, style, color, present_colors(color_shares(picture)), True, _levels(picture)) for color, picture in changed.items()
    ]
    return (own, *variants)


def _npm_pack(package: GlyphPackage, cache_dir: Path) -> None:
    spec = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise GlyphSourceError(
            f"the glyph package {spec} is not in {cache_dir} and npm was not found; install Node.js with npm, "
            f"or run `npm pack {spec}` elsewhere and copy {package.tarball} there"
        )
    command = [npm, "pack", spec, "--pack-destination", str(cache_dir.resolve()), "--ignore-scripts", "--silent"]
    result = subprocess.run(  # noqa: S603 (fixed words and a folder, no shell)
        command, cwd=cache_dir, capture_output=True, text=True, check=False
    )
    if result.returncode or not (cache_dir / package.tarball).exists():
        raise GlyphSourceError(f"`npm pack {spec}` failed ({result.returncode}): {result.stderr.strip()[-500:] or 'no output'}")


def read_pictures(package: GlyphPackage, path: Path, size: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Read the glyph of every class out of a tarball, by exact member name: nothing of the archive is ever written to disk.

    Args:
        package: says where glyphs lie in the tarball.
        path: the tarball.
        size: longer side in pixels that larger pictures are reduced to and vector ones drawn at.

    Returns:
        Class -> uint8 ``[H, W, 4]``, not premultiplied.

    Raises:
        GlyphSourceError: the tarball lacks a class.
    """
    wanted = {package.member_of(name): name for name in CLASSES}
    found = {wanted[member]: _decode(data, member, size) for member, data in _members(path) if member in wanted}
    missing = [name for name in CLASSES if name not in found]
    if missing:
        raise GlyphSourceError(f"{path} lacks glyphs of {', '.join(missing)}; it is not the package {package.name}@{package.version}")
    return {name: found[name] for name in CLASSES}


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every regular file, in one pass: seeking in a compressed archive would unpack it again and again."""
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None and member.size < 1 << 20:
                yield member.name, stream.read()


def _decode(data: bytes, member: str, size: int) -> npt.NDArray[np.uint8]:
    if member.endswith(".svg"):
        import resvg_py  # only training needs it

        data = bytes(resvg_py.svg_to_bytes(svg_string=data.decode(), width=size, height=size))
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    if max(picture.size) > size:
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.uint8).copy()


def _crop(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    rows, columns = (np.flatnonzero((rgba[..., 3] >= 16).any(axis=axis)) for axis in (1, 0))
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _levels(rgba: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], ...]:
    """The premultiplied picture and ever smaller copies, so that a small object is drawn without aliasing."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    level = np.concatenate([np.round(rgba[..., :3] * alpha).astype(np.uint8), rgba[..., 3:]], axis=2)
    levels = [level]
    while max(level.shape) > 40:
        level = cv2.resize(level, ((level.shape[1] + 1) // 2, (level.shape[0] + 1) // 2), interpolation=cv2.INTER_AREA)
        levels.append(level)
    return tuple(levels)
