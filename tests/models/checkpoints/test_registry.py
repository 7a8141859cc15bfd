"""The registry says of every file where it is and what it is; nothing in it is made up or mistyped."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from models import Registry, RegistryError, profiles, read_registry
from models.checkpoints.verify import _hold_against_listing
from models.ssp_sam.config import named_config
from models.strict_weights import WeightsError
from models.weights_folder import find_weights

REGISTRY = read_registry()


@pytest.mark.parametrize("entry", REGISTRY.checkpoints.values(), ids=REGISTRY.checkpoints)
def test_every_checkpoint_names_licence_and_home_and_is_of_sizes_that_can_be_built(entry):
    assert entry.licence
    assert entry.home is None or urlsplit(entry.home).scheme == "https"
    assert entry.url is None or urlsplit(entry.url).scheme == "https"
    if entry.format != "state-dict":
        with pytest.raises(WeightsError, match="missing"):
            _hold_against_listing({}, entry, "nothing")


def test_the_digest_in_openais_addresses_is_the_one_in_the_registry():
    for entry in REGISTRY.checkpoints.values():
        in_address = re.search(r"/([0-9a-f]{64})/", entry.url or "")
        assert in_address is None or in_address[1] == entry.sha256


@pytest.mark.parametrize("profile", REGISTRY.profiles.values(), ids=REGISTRY.profiles)
def test_every_profile_is_of_a_configuration_and_has_weights_or_says_where_they_come_from(profile):
    assert named_config(profile.config).name == profile.config
    assert (profile.checkpoint is None) == (profile.name in profiles())
    if profile.checkpoint is not None:
        entry = REGISTRY.checkpoint(profile.checkpoint)
        parts = {"ssp-sam": {"clip", "sam_image_encoder"}, "sam": {"clip"}}
        assert set(profile.upstream) == parts[entry.format]
        assert entry.sizes == profile.config or entry.format == "sam"


def test_profiles_that_ship_are_declared_as_their_folders_say():
    for name in profiles():
        manifest = find_weights(name).manifest
        declared = REGISTRY.profile(name)
        assert (declared.architecture, declared.config) == (manifest["architecture"], manifest["config"])


def test_entries_of_a_further_file_win_and_join(tmp_path):
    further = tmp_path / "mine.toml"
    further.write_text(
        '[checkpoints.mine]\ntitle = "x"\nurl = "http://localhost/a%20b.pth"\nlicence = "mine"\nformat = "ssp-sam"\nsizes = "contract"\n'
        '[profiles.tiny]\ntitle = "mine"\narchitecture = "ssp-sam"\nconfig = "contract"\ncheckpoint = "mine"\n'
    )
    registry = read_registry(further)
    assert registry.checkpoint("mine").file_name == "a b.pth"
    assert registry.profile("tiny").title == "mine"
    assert "sam-vit-h" in registry.checkpoints


ENTRY = '[checkpoints.a]\ntitle = "x"\nlicence = "y"\nformat = "sam"\nsizes = "vit-b"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[checkpoints.a", "cannot be read as a registry", id="no TOML"),
        pytest.param("[chekpoints.a]\n", "chekpoints: expected the tables checkpoints and profiles", id="unknown table"),
        pytest.param("checkpoints = 3\n", "cannot be read as a registry", id="no table"),
        pytest.param(ENTRY + 'sha265 = "x"\n', r"checkpoints\.a\.sha265: Extra inputs", id="unknown key"),
        pytest.param(ENTRY + 'sha256 = "abc"\n', r"checkpoints\.a\.sha256: String should match pattern", id="digest cut short"),
        pytest.param(ENTRY + "size = 1.5\n", r"checkpoints\.a\.size: Input should be a valid integer", id="size a fraction"),
        pytest.param(ENTRY + 'url = "ftp://x/y"\n', "must start with http:// or https://", id="no http"),
        pytest.param(ENTRY + 'url = "http://x/y"\nrepository = "a/b"\n', "both url and repository", id="two sources"),
        pytest.param(ENTRY.replace('sizes = "vit-b"\n', ""), "every format but 'state-dict' has sizes", id="no sizes"),
        pytest.param(ENTRY.replace("checkpoints.a", 'checkpoints."../a"'), "'../a' cannot be a name", id="name that leaves the folder"),
        pytest.param(ENTRY.replace("checkpoints.a", "checkpoints.profiles"), "'profiles' cannot be a name", id="reserved name"),
        pytest.param(
            '[profiles.p]\ntitle = "x"\narchitecture = "y"\nconfig = "z"\ncheckpoint = "nowhere"\n',
            "profile 'p' names the checkpoint 'nowhere', which is not in the registry",
            id="profile of no checkpoint",
        ),
    ],
)
def test_a_registry_that_is_not_right_is_refused_by_entry_and_field(tmp_path, text, message):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(RegistryError, match=message):
        read_registry(tmp_path / "mine.toml")


def test_names_that_are_not_there_are_answered_with_those_that_are(tmp_path):
    empty = Registry(checkpoints={}, profiles={})
    with pytest.raises(RegistryError, match="no checkpoint is called 'x'; there are "):
        empty.checkpoint("x")
    with pytest.raises(RegistryError, match=r"no profile is called 'x'; there are ssp-sam-224, .*tiny"):
        REGISTRY.profile("x")
    with pytest.raises(RegistryError, match="cannot be read as a registry"):
        read_registry(Path(tmp_path / "absent.toml"))
