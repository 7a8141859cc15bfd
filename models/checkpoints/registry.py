"""The registry of published checkpoints and of the profiles made of them, read from TOML; imports no torch."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

REGISTRY_FILE = Path(__file__).with_name("registry.toml")

Format = Literal["ssp-sam", "sam", "openai-clip", "state-dict"]
"""What a file holds: a whole SSP-SAM, a whole SAM, OpenAI's CLIP, or tensors that nobody here reads yet."""

UpstreamPart = Literal["clip", "sam_image_encoder"]
"""Parts of an SSP-SAM that its training left as their own authors published them."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_RESERVED = "profiles"


class RegistryError(ValueError):
    """The registry cannot be read, or names what it does not hold."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    """Its key in the file: lower case, digits, dots and dashes."""
    title: str
    """One line for people."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or name == _RESERVED:
            raise ValueError(f"{name!r} cannot be a name: expected lower case letters, digits, dots and dashes, and not {_RESERVED!r}")
        return name


class Checkpoint(_Entry):
    """One published file. Without ``url`` and ``repository`` nobody publishes it: it is placed by hand."""

    url: str | None = None
    repository: str | None = None
    """``owner/name`` on the model hub."""
    revision: str = "main"
    file: str | None = None
    """Path in the repository, where it is known."""
    files: str = "*"
    """Pattern of the repository's paths among which ``file`` is chosen otherwise."""
    size: int | None = Field(None, gt=0)
    """Bytes."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    licence: str
    home: str | None = None
    """Page of its authors."""
    format: Format
    sizes: str | None = None
    """Which network of that format."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.url is not None and self.repository is not None:
            raise ValueError("has both url and repository; it is published at one of them")
        if self.url is not None and urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"url must start with http:// or https://, found {self.url!r}")
        if (self.sizes is None) != (self.format == "state-dict"):
            raise ValueError(f"format {self.format!r} and sizes {self.sizes!r} do not go together: every format but 'state-dict' has sizes")
        return self

    @property
    def file_name(self) -> str | None:
        """Last part of its address, the name it is kept under; ``None`` where ``file`` is still to be chosen."""
        path = self.file or (unquote(urlsplit(self.url).path) if self.url else None)
        return PurePosixPath(path).name if path else None


class Profile(_Entry):
    """One way to serve: a network, its sizes and preprocessing, its weights and its thresholds."""

    architecture: str
    """A key of ``models.loading.BUILDERS``."""
    config: str
    """Name of the network's configuration, which holds all sizes and the preprocessing."""
    checkpoint: str | None = None
    """Its published weights; ``None`` for a profile that ships."""
    upstream: Mapping[UpstreamPart, str] = {}
    """Checkpoints of the parts that the published weights may lack."""
    thresholds: Mapping[str, float] = {}
    """When a phrase counts as answered; a profile that ships keeps its own."""


class Registry(BaseModel):
    """All checkpoints and profiles, by name."""

    model_config = ConfigDict(frozen=True)

    checkpoints: Mapping[str, Checkpoint]
    profiles: Mapping[str, Profile]

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of that name.

        Raises:
            RegistryError: there is none.
        """
        if name not in self.checkpoints:
            raise RegistryError(f"no checkpoint is called {name!r}; there are {', '.join(sorted(self.checkpoints))}")
        return self.checkpoints[name]

    def profile(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            RegistryError: there is none.
        """
        if name not in self.profiles:
            raise RegistryError(f"no profile is called {name!r}; there are {', '.join(sorted(self.profiles))}")
        return self.profiles[name]


def read_registry(further: Path | None = None) -> Registry:
    """The registry that ships, and a further file whose entries win.

    Raises:
        RegistryError: a file cannot be read, an entry is not of the form, or a profile names a checkpoint that is not there.
    """
    tables = [_read(path) for path in (REGISTRY_FILE, further) if path is not None]
    checkpoints = {name: entry for table in tables for name, entry in table.checkpoints.items()}
    profiles = {name: entry for table in tables for name, entry in table.profiles.items()}
    for profile in profiles.values():
        for named in filter(None, (profile.checkpoint, *profile.upstream.values())):
            if named not in checkpoints:
                raise RegistryError(f"{further}: profile {profile.name!r} names the checkpoint {named!r}, which is not in the registry")
    return Registry(checkpoints=checkpoints, profiles=profiles)


def _read(path: Path) -> Registry:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = set(content) - {"checkpoints", "profiles"}
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: expected the tables checkpoints and profiles")
        named = {
            kind: {name: {"name": name, **entry} for name, entry in content.get(kind, {}).items()} for kind in ("checkpoints", "profiles")
        }
        return Registry.model_validate(named)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise RegistryError(f"{path} is not a registry: {problems}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RegistryError(f"{path} cannot be read as a registry: {error}; see models/checkpoints/registry.toml for the form") from error
