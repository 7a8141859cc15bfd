"""The way of a published file through ``wordmask checkpoints``: from a publisher's server to answers of the service."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flask.testing import FlaskClient
from typer.testing import CliRunner, Result

from backend.app import create_app, weights_version
from backend.brush_rle import decode
from backend.cli import app
from backend.cli.checkpoints import prepare
from backend.errors import SettingsError
from backend.settings import Settings
from models import ProposingEngine, load_engine
from models.embedding_cache import EmbeddingCache
from models.ssp_sam.checkpoint import load_official
from models.ssp_sam.config import contract
from models.ssp_sam.engine import SspSamEngine, Thresholds
from models.ssp_sam.model import SspSam
from models.ssp_sam.weights import tokenizer_for
from tests.backend.checkpoints.sources import PublishedFile
from tests.factories import make_data_uri, make_task
from tests.local_http import LocalServer, Reply, Request, local_server
from tests.models.ssp_sam.files import write_clip_archive, write_official, write_sam
from tests.models.ssp_sam.networks import perturbed

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PHRASE = "the red car"

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # TorchScript

REGISTRY = """
[checkpoints.small]
title = "a small SSP-SAM"
repository = "somebody/SSP-SAM"
files = "*.pth"
licence = "ours"
format = "ssp-sam"
sizes = "contract"

[checkpoints.small-sam]
title = "its SAM"
url = "{url}/sam.pth"
licence = "ours"
format = "sam"
sizes = "contract"

[checkpoints.small-clip]
title = "its CLIP"
url = "{url}/clip.pt"
licence = "ours"
format = "openai-clip"
sizes = "contract"

[profiles.small]
title = "for tests"
architecture = "ssp-sam"
config = "contract"
checkpoint = "small"
upstream = {{ clip = "small-clip", sam_image_encoder = "small-sam" }}
thresholds = {{ presence = 0.25 }}

[profiles.untrained]
title = "for tests"
architecture = "zero-shot"
config = "contract"
checkpoint = "small-sam"
upstream = {{ clip = "small-clip" }}
"""


@dataclass
class World:
    """A publisher's server, which is also the mirror of the hub, and a user's machine."""

    server: LocalServer
    folder: Path
    model: SspSam
    upstream: Path
    hub: dict[str, bytes] = field(default_factory=dict)
    offline: bool = False

    def __post_init__(self) -> None:
        (self.folder / "registry.toml").write_text(REGISTRY.format(url=self.server.url))
        self.server.routes["/api/models/somebody/SSP-SAM/tree/main"] = self._list
        for file in self.upstream.iterdir():
            self.server.routes[f"/{file.name}"] = PublishedFile(file.read_bytes())

    def publish(self, path: str, **options: Any) -> Path:
        """Put a checkpoint into the hub's repository."""
        file = write_official(self.folder / "published" / path, self.model, **options)
        self.hub[path] = file.read_bytes()
        self.server.routes[f"/somebody/SSP-SAM/resolve/main/{path}"] = PublishedFile(self.hub[path])
        return file

    def _list(self, request: Request) -> Reply:
        files = [
            {"type": "file", "path": path, "size": len(body), "lfs": {"oid": hashlib.sha256(body).hexdigest()}}
            for path, body in self.hub.items()
        ]
        others = [{"type": "directory", "path": "data_seg"}, {"type": "file", "path": "README.md", "size": 10}]
        return Reply(body=json.dumps(others + files).encode())

    @property
    def store(self) -> Path:
        return self.folder / "data" / "checkpoints"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WORDMASK_DATA_DIR": str(self.folder / "data"),
            "WORDMASK_CHECKPOINT_REGISTRY": str(self.folder / "registry.toml"),
            "WORDMASK_CHECKPOINT_MIRROR": self.server.url,
            "WORDMASK_OFFLINE": str(self.offline).lower(),
        }

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env=self.environment)

    def settings(self) -> Settings:
        return Settings(
            data_dir=self.folder / "data", checkpoint_registry=self.folder / "registry.toml", checkpoint_mirror=self.server.url,
            profile="small", device="cpu",
        )  # fmt: skip


@pytest.fixture(scope="module")
def model() -> SspSam:
    return perturbed(seed=1)


@pytest.fixture(scope="module")
def upstream(model: SspSam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAM and CLIP as their own authors publish them."""
    folder = tmp_path_factory.mktemp("upstream")
    write_sam(folder / "sam.pth", model)
    write_clip_archive(folder / "clip.pt", model)
    return folder


@pytest.fixture
def world(tmp_path: Path, model: SspSam, upstream: Path) -> Iterator[World]:
    with local_server() as server:
        yield World(server, tmp_path, model, upstream)


def one_line(result: Result) -> str:
    assert result.exit_code == 1, result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("wordmask: ")
    return last


def wait_until_ready(client: FlaskClient) -> dict[str, Any]:
    for _ in range(600):
        health: dict[str, Any] = client.get("/health").get_json()
        if health["ready"]:
            return health
        time.sleep(0.1)
    raise AssertionError(health)


def mask_of_the_file(published: Path) -> np.ndarray:
    """What a network answers that the published file was loaded into directly."""
    network = SspSam(contract())
    load_official(published, network)
    thresholds, cache, device = Thresholds(presence=0.25), EmbeddingCache(0), torch.device("cpu")
    engine = SspSamEngine(
        network, tokenizer_for(network.config), name="", version="", device=device, thresholds=thresholds, cache=cache
    )  # fmt: skip
    return engine.segment_scored(IMAGE, [PHRASE])[0].mask


@pytest.mark.parametrize("layout", ["saved", "fresh"])
def test_fetch_verify_convert_and_serve_answer_as_the_published_file(world: World, layout: str) -> None:
    published = world.publish("unc/checkpoint_best_miou.pth", layout=layout)
    assert world.run("checkpoints", "fetch", "small").exit_code == 0
    verified = world.run("checkpoints", "verify")
    assert f"{layout} layout" in verified.output
    assert "also holds optimizer, lr_scheduler, epoch, args, which is left out" in verified.output
    converted = world.run("checkpoints", "convert", "small")
    assert "serve it with: wordmask serve --profile small" in converted.output
    listed = json.loads(world.run("checkpoints", "list", "--json").output)
    assert {one["name"]: one["ready"] for one in listed["profiles"]}["small"]

    expected = mask_of_the_file(published)
    assert 0.05 < expected.mean() < 0.95
    engine = load_engine(world.store / "profiles" / "small", device="cpu")
    assert np.array_equal(engine.segment_scored(IMAGE, [PHRASE])[0].mask, expected)

    service = create_app(world.settings())
    client = service.test_client()
    labels = '<BrushLabels name="mask" toName="image" model="ssp-sam"><Label value="the red car"/></BrushLabels>'
    config = f'<View><Image name="image" value="$image"/>{labels}</View>'
    body = {"tasks": [make_task(data={"image": make_data_uri(IMAGE)})], "label_config": config, "project": "1"}
    health = wait_until_ready(client)
    assert (health["profile"], health["device"], health["precision"]) == ("small", "cpu", "float32")
    assert health["model_version"].startswith("small-published+")
    answer = client.post("/predict", json=body).get_json()
    union = np.zeros(IMAGE.shape[:2], dtype=bool)
    for region in answer["results"][0]["result"]:
        union |= decode(region["value"]["rle"], IMAGE.shape[:2]) > 0
    wanted = np.any([segment.mask for segment in engine.segment(IMAGE, [PHRASE])[0]], axis=0)
    assert wanted.any()
    assert np.array_equal(union, wanted)


def test_what_the_file_lacks_is_asked_for_by_name_and_then_used(world: World) -> None:
    world.publish("a.pth", leave_out=("clip", "sam_image_encoder"))
    world.run("checkpoints", "fetch", "small")
    assert "without clip and sam_image_encoder" in world.run("checkpoints", "verify", "small").output
    assert "small-clip is not here; run: wordmask checkpoints fetch small-clip" in one_line(world.run("checkpoints", "convert", "small"))
    assert not (world.store / "profiles").exists()
    assert world.run("checkpoints", "fetch", "small-clip", "small-sam").exit_code == 0
    assert world.run("checkpoints", "convert", "small").exit_code == 0
    assert load_engine(world.store / "profiles" / "small", device="cpu").segment(IMAGE, [PHRASE])


def test_serve_can_fetch_and_convert_all_that_a_profile_lacks(world: World) -> None:
    world.publish("a.pth", leave_out=("sam_image_encoder",))
    with pytest.raises(SettingsError, match="are not here yet"):
        weights_version(world.settings())
    prepare(world.settings())
    assert weights_version(world.settings()).startswith("small-published+")
    asked = len(world.server.requests)
    prepare(world.settings())
    assert len(world.server.requests) == asked
    assert {path.name for path in world.store.iterdir() if path.is_dir()} == {"small", "small-sam", "profiles"}


def test_a_profile_without_training_takes_sam_and_clip_as_they_are_published(world: World) -> None:
    assert "openai" not in world.run("checkpoints", "fetch", "small-sam").output
    assert "run: wordmask checkpoints fetch small-clip" in one_line(world.run("checkpoints", "convert", "untrained"))
    assert world.run("checkpoints", "fetch", "small-clip").exit_code == 0
    result = world.run("checkpoints", "convert", "untrained")
    assert result.exit_code == 0, result.output
    engine = load_engine(world.store / "profiles" / "untrained", device="cpu")
    assert isinstance(engine, ProposingEngine)
    assert engine.version.startswith("untrained-published+")


def test_of_several_files_one_must_be_chosen_and_stays_chosen(world: World) -> None:
    world.publish("unc/best.pth")
    world.publish("gref/best.pth", layout="fresh")
    asked = world.run("checkpoints", "fetch", "small")
    assert "somebody/SSP-SAM has 2 files that it could be; choose one: wordmask checkpoints fetch small --file PATH" in one_line(asked)
    assert "unc/best.pth" in asked.stderr
    assert "README.md" not in asked.stderr
    assert "has no file 'refcoco.pth'" in one_line(world.run("checkpoints", "fetch", "small", "--file", "refcoco.pth"))
    assert world.run("checkpoints", "fetch", "small", "--file", "gref/best.pth").exit_code == 0
    assert (world.store / "small" / "best.pth").read_bytes() == world.hub["gref/best.pth"]
    assert world.run("checkpoints", "fetch", "small").exit_code == 0  # nothing to ask any more
    assert "fresh layout" in world.run("checkpoints", "verify", "small").output
    assert world.run("checkpoints", "fetch", "small", "--file", "unc/best.pth").exit_code == 0  # of the same name, another file
    assert "saved layout" in world.run("checkpoints", "verify", "small").output


def test_a_digest_that_nobody_published_is_recorded_and_compared_from_then_on(world: World) -> None:
    assert world.run("checkpoints", "fetch", "small-sam").exit_code == 0
    lock = json.loads((world.store / "checkpoints.lock.json").read_text())
    file = world.store / "small-sam" / "sam.pth"
    assert lock["small-sam"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert lock["small-sam"]["source"] == f"{world.server.url}/sam.pth"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "expected " in one_line(world.run("checkpoints", "verify"))
    message = one_line(world.run("checkpoints", "fetch", "small-sam"))
    assert f"remove {file} and run: wordmask checkpoints fetch small-sam" in message
    file.unlink()
    assert world.run("checkpoints", "fetch", "small-sam").exit_code == 0
    assert world.run("checkpoints", "verify").exit_code == 0


def test_a_file_of_other_sizes_is_refused_and_not_kept(world: World) -> None:
    file = write_sam(world.folder / "other.pth", world.model)
    world.server.routes["/clip.pt"] = PublishedFile(file.read_bytes())
    message = one_line(world.run("checkpoints", "fetch", "small-clip"))
    assert "does not fit" in message
    assert not [path for path in world.store.rglob("*") if path.is_file()]
    assert world.run("checkpoints", "fetch", "--no-verify", "small-clip").exit_code == 0
    assert "does not fit" in one_line(world.run("checkpoints", "verify"))


def test_offline_says_which_file_to_put_where_and_takes_it_from_there(world: World) -> None:
    world.offline = True
    message = one_line(world.run("checkpoints", "fetch", "small-sam"))
    place = world.store / "small-sam"
    assert f"put sam.pth from {world.server.url}/sam.pth into {place}, then run: wordmask checkpoints verify small-sam" in message
    assert "put the file of your choice from https://huggingface.co/somebody/SSP-SAM into" in one_line(
        world.run("checkpoints", "fetch", "small")
    )
    assert not world.server.requests
    write_sam(place / "sam.pth", world.model)
    assert "SHA-256 recorded from now on" in world.run("checkpoints", "verify", "small-sam").output
    assert "SHA-256 is the recorded one" in world.run("checkpoints", "verify", "small-sam").output
    write_official(world.store / "small" / "any name.pth", world.model)
    assert world.run("checkpoints", "convert", "small").exit_code == 0


def test_a_plain_mirror_without_the_hubs_list_serves_a_file_that_is_named(world: World) -> None:
    world.publish("a.pth")
    del world.server.routes["/api/models/somebody/SSP-SAM/tree/main"]
    assert "answered 404: the repository cannot be listed" in one_line(world.run("checkpoints", "fetch", "small"))
    assert world.run("checkpoints", "fetch", "small", "--file", "a.pth").exit_code == 0


def test_own_files_are_converted_where_they_lie(world: World) -> None:
    own = write_official(world.folder / "own.pth", world.model, leave_out=("clip", "sam_image_encoder"))
    sam, clip = world.upstream / "sam.pth", world.upstream / "clip.pt"
    assert (
        "SHA-256 not compared; without clip and sam_image_encoder" in world.run("checkpoints", "verify", "small", "--path", str(own)).output
    )
    result = world.run("checkpoints", "convert", "small", "--from", str(own), "--sam", str(sam), "--clip", str(clip))
    assert result.exit_code == 0, result.output
    assert not world.server.requests
    assert [path.name for path in world.store.iterdir()] == ["profiles"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("checkpoints", "fetch", "nothing"), "no checkpoint is called 'nothing'; there are ", id="unknown checkpoint"),
        pytest.param(("checkpoints", "convert", "nothing"), "no profile is called 'nothing'; there are ", id="unknown profile"),
        pytest.param(("checkpoints", "convert", "tiny"), "profile 'tiny' ships with Wordmask", id="profile that ships"),
        pytest.param(("checkpoints", "fetch", "small", "small-sam", "--file", "a"), "give one checkpoint with it", id="one file for two"),
        pytest.param(("checkpoints", "verify", "--path", "a.pth"), "--path needs the name of the one checkpoint", id="path of nothing"),
        pytest.param(
            ("checkpoints", "fetch", "ssp-sam-224-vit-b"), "nobody publishes this file. By hand: put your file into", id="own file"
        ),
        pytest.param(
            ("serve", "--profile", "small"),
            "the weights of profile 'small' are not here yet; next: wordmask checkpoints fetch small, then "
            "wordmask checkpoints convert small "
            "(or all of it: wordmask serve --profile small --fetch)",
            id="serve before fetch",
        ),
    ],
)
def test_mistakes_are_answered_in_one_line(world: World, arguments: tuple[str, ...], message: str) -> None:
    assert message in one_line(world.run(*arguments))


def test_the_list_shows_state_and_next_step(world: World) -> None:
    world.publish("a.pth")
    before = world.run("checkpoints", "list").output
    assert "wordmask checkpoints fetch small, then wordmask checkpoints convert small" in before
    world.run("checkpoints", "fetch", "small")
    files = {one["name"]: one for one in json.loads(world.run("checkpoints", "list", "--json").output)["checkpoints"]}
    assert files["small"]["state"] == "present"
    assert files["small-sam"]["state"] == "absent"
    assert files["sam-vit-h"]["sha256"]
    assert "\n    wordmask checkpoints convert small" in world.run("checkpoints", "list").output
