"""Glyphs: only the pinned packages are read, and a colour is named only where it is measured."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data.emoji_scenes import CLASSES, PACKAGES, GlyphSourceError, fetch_glyph_packages
from models.data.emoji_scenes.colors import color_shares, dominant_color, recolor
from models.data.emoji_scenes.glyphs import make_glyphs, read_pictures


def patch(rgb: tuple[int, int, int], alpha: int = 255) -> np.ndarray:
    return np.full((20, 20, 4), (*rgb, alpha), np.uint8)


def write_tarball(path: Path, names: tuple[str, ...]) -> None:
    png = io.BytesIO()
    Image.fromarray(patch((250, 200, 20))).save(png, "PNG")
    with tarfile.open(path, "w:gz") as archive:
        for member in ["package/../../escape.png", *(PACKAGES["noto"].member_of(name) for name in names)]:
            info = tarfile.TarInfo(member)
            info.size = len(png.getvalue())
            archive.addfile(info, io.BytesIO(png.getvalue()))


@pytest.mark.parametrize(
    ("rgb", "color"),
    [
        pytest.param((220, 20, 30), "red", id="red"),
        pytest.param((193, 105, 79), "brown", id="leather is brown, not red"),
        pytest.param((121, 85, 72), "brown", id="brown"),
        pytest.param((255, 140, 20), "orange", id="orange"),
        pytest.param((255, 215, 40), "yellow", id="yellow"),
        pytest.param((60, 170, 60), "green", id="green"),
        pytest.param((40, 110, 220), "blue", id="blue"),
        pytest.param((140, 60, 200), "purple", id="purple"),
        pytest.param((250, 110, 190), "pink", id="pink"),
        pytest.param((90, 20, 45), None, id="dark red is not pink"),
        pytest.param((20, 20, 20), "black", id="black"),
        pytest.param((250, 250, 250), "white", id="white"),
        pytest.param((130, 130, 130), "gray", id="gray"),
        pytest.param((40, 200, 190), None, id="between blue and green"),
    ],
)
def test_plain_colours_get_their_names(rgb, color):
    assert dominant_color(color_shares(patch(rgb))) == color


def test_transparent_pixels_have_no_colour():
    assert dominant_color(color_shares(patch((220, 20, 30), alpha=0))) is None


def test_a_recoloured_glyph_measures_as_what_it_is_called_and_keeps_its_other_colours():
    car = patch((215, 50, 60))
    car[:5, :, :3] = 30
    for color in ("orange", "yellow", "green", "blue", "purple", "pink"):
        changed = recolor(car, color)
        assert changed is not None
        assert dominant_color(color_shares(changed)) == color
        assert np.array_equal(changed[:5], car[:5]), "black tyres stay black"


def test_what_has_no_hue_is_not_recoloured():
    assert recolor(patch((240, 240, 240)), "red") is None


def test_only_classes_that_come_in_colours_get_variants():
    assert len(make_glyphs("car", "noto", patch((215, 50, 60)))) == 7
    assert len(make_glyphs("strawberry", "noto", patch((220, 20, 30)))) == 1


def test_glyphs_are_cropped_and_have_ever_smaller_copies():
    picture = np.zeros((128, 128, 4), np.uint8)
    picture[10:110, 20:100] = (200, 0, 0, 255)
    (glyph, *_) = make_glyphs("strawberry", "noto", picture)
    assert [level.shape[:2] for level in glyph.levels] == [(100, 80), (50, 40), (25, 20)]


def test_pictures_are_read_by_exact_name_and_nothing_is_unpacked(tmp_path):
    folder = tmp_path / "cache" / "npm"
    folder.mkdir(parents=True)
    write_tarball(folder / "glyphs.tgz", CLASSES)
    pictures = read_pictures(PACKAGES["noto"], folder / "glyphs.tgz", 128)
    assert tuple(pictures) == CLASSES
    assert pictures["dog"].shape == (20, 20, 4)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["glyphs.tgz"]


def test_a_tarball_without_a_class_is_refused(tmp_path):
    write_tarball(tmp_path / "glyphs.tgz", CLASSES[:-1])
    with pytest.raises(GlyphSourceError, match=f"lacks glyphs of {CLASSES[-1]}"):
        read_pictures(PACKAGES["noto"], tmp_path / "glyphs.tgz", 128)


def test_a_tarball_that_is_not_the_pinned_one_is_refused(tmp_path):
    write_tarball(tmp_path / PACKAGES["noto"].tarball, CLASSES)
    with pytest.raises(GlyphSourceError, match=r"SHA-256 .* expected .*; delete the file"):
        fetch_glyph_packages(tmp_path, ["noto"])


def test_without_npm_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GlyphSourceError, match=r"install Node\.js with npm, or run `npm pack emoji-datasource-google@16\.0\.0`"):
        fetch_glyph_packages(tmp_path, ["noto"])


def test_an_unknown_style_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(GlyphSourceError, match="known styles: noto, twemoji"):
        fetch_glyph_packages(tmp_path, ["apple"])


def test_file_names_follow_each_package():
    assert PACKAGES["noto"].member_of("heart") == "package/img/google/64/2764-fe0f.png"
    assert PACKAGES["openmoji"].member_of("heart") == "package/color/svg/2764.svg"
    assert PACKAGES["fluent-3d"].tarball == "lobehub-fluent-emoji-3d-1.1.0.tgz"
