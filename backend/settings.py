"""Every setting of the service: its default, its meaning, and the one place that reads the environment.

``Settings(...)`` is a plain value with defaults, as tests use it; :meth:`Settings.from_env` reads the environment and ``.env``.
"""

from __future__ import annotations

import difflib
import logging
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.errors import SettingsError
from models import EngineOptions

PREFIX = "WORDMASK_"
_MIB = 2**20

logger = logging.getLogger(__name__)


class Settings(BaseModel):
    """All settings; immutable. The description of a field is its line in the README's table."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, validate_default=True)

    label_studio_url: str | None = Field(
        None, validation_alias="LABEL_STUDIO_URL", description="address of Label Studio, where uploaded images are fetched"
    )
    label_studio_api_key: SecretStr | None = Field(
        None,
        validation_alias="LABEL_STUDIO_API_KEY",
        description="token of a Label Studio user: personal access token or legacy token",
    )
    basic_auth_user: str | None = Field(
        None, validation_alias="BASIC_AUTH_USER", description="user name that Label Studio must send; needs the password too"
    )
    basic_auth_pass: SecretStr | None = Field(None, validation_alias="BASIC_AUTH_PASS", description="password that Label Studio must send")
    webhook_secret: SecretStr | None = Field(
        None, description="if set, `/webhook` wants it in the header `X-Wordmask-Secret` (Label Studio sends no Basic auth there)"
    )

    profile: str = Field("tiny", description="which model serves: a profile's name or the path of a weights folder")
    device: str = Field("auto", description="where the model runs: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ...")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the model's products: `fp32`, `bf16`, `fp16`; `auto` is bf16 on CUDA devices that have it, else fp32"
    )
    compile: bool = Field(False, description="run SAM's image encoder through `torch.compile`: starts slower")
    micro_batch: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        "auto", description="most images of requests at the same time that share one run of the encoders, 1: none; `auto` is 8, on a CPU 1"
    )
    micro_batch_wait_ms: float = Field(4, ge=0, le=1000, description="how long such a run may wait for requests that are about to join")
    workers: int = Field(1, ge=1, le=64, description="processes that serve, each with the model; of several GPUs each takes its own")
    checkpoint_dir: Path | None = Field(
        None, description="folder of published checkpoints and of what is converted from them; empty: `checkpoints` in the data folder"
    )
    checkpoint_mirror: str | None = Field(
        None, description="address that stands in for the hosts that publish checkpoints; it must serve the same paths"
    )
    checkpoint_registry: Path | None = Field(
        None, description="TOML file with further checkpoints and profiles, as in `models/checkpoints/registry.toml`"
    )
    offline: bool = Field(False, description="fetch no checkpoint; say instead which file to put where")
    embedding_cache_bytes: ByteSize = Field(ByteSize(256 * _MIB), description="memory for embeddings of images already seen")
    embedding_disk_cache: bool = Field(False, description="keep embeddings under the data folder as well, across restarts")

    host: str = Field("127.0.0.1", description="address to listen on; `0.0.0.0` for every interface")
    port: int = Field(9090, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    threads: int = Field(2, ge=1, le=64, description="how many requests the engine works on at once")
    max_waiting: int = Field(16, ge=0, le=256, description="how many more requests may wait for the engine; others get 503")
    max_request_bytes: ByteSize = Field(ByteSize(128 * _MIB), description="largest request body that is read")
    predict_budget_seconds: float = Field(
        80, gt=0, lt=100, description="`/predict` answers after this time with what is done (Label Studio gives up after 100 s)"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least severe message that is logged")

    image_timeout_seconds: float = Field(20, gt=0, description="longest time that fetching one image may take")
    image_max_bytes: ByteSize = Field(ByteSize(64 * _MIB), description="largest image file that is read")
    image_max_pixels: int = Field(100_000_000, ge=1, description="largest image that is decoded, in pixels")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hosts that images may come from, separated by commas; empty: any public host (Label Studio always)"
    )
    allow_private_hosts: bool = Field(False, description="fetch images from loopback and private addresses too")

    score_threshold: float = Field(
        0.0, ge=0, le=1, description="regions with a lower score are left out, beyond what the model itself takes for not there"
    )
    max_regions: int = Field(30, ge=1, description="most regions per control and image; a control may set its own")
    prompt_field: str = Field("prompt", description="field of a task whose text is used as a prompt besides the labels")
    keep_prompt: bool = Field(False, description="pre-annotate with each label's last typed prompt; a control may set its own")

    trainer: bool = Field(True, description="`wordmask serve` keeps a trainer process beside it, which takes in corrections")
    takes_jobs: bool = Field(True, description="the trainer of this machine runs jobs; false leaves them to machines with the same Redis")
    redis_url: SecretStr | None = Field(
        None, description="queue jobs in this Redis, for several machines (needs `wordmask[redis]`); empty: in the data folder"
    )
    train_after_corrections: int = Field(20, ge=0, description="so many new corrections of a project ask for a job; 0: no number does")
    train_after_minutes: float = Field(30, ge=0, description="so long after a correction a job is asked for anyway; 0: no time does")
    trainer_niceness: int = Field(10, ge=0, le=19, description="how far a job stands back for everything else on the machine")
    trainer_threads: int = Field(1, ge=1, le=256, description="threads that a job computes with")
    train_steps: int | None = Field(None, ge=1, description="most steps that a job trains; empty: as the weights want it")
    replay_dataset: Path | None = Field(
        None, description="data set folder of what the weights knew, mixed in so that it is not forgotten; empty: the scenes that ship"
    )
    kept_versions: int = Field(
        5, ge=1, le=1000, description="newest versions that a project keeps, beside the one that serves and the one it came from"
    )
    version_engines: int = Field(4, ge=1, le=256, description="projects whose own versions stay in memory, for each process that serves")
    refreshed_tasks: int = Field(
        500, ge=0, description="so many tasks with older predictions a job predicts again after a new version, the most doubtful first"
    )
    shared_dir: Path | None = Field(
        None, description="folder for versions, which all machines of one Redis must see; empty: `versions` in the data folder is enough"
    )

    data_dir: Path = Field(
        Path("~/.local/share/wordmask"), description="folder for remembered prompts, events, samples, jobs, versions and caches"
    )

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        return tuple(part.strip().lower() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("data_dir", "checkpoint_dir", "checkpoint_registry", "replay_dataset", "shared_dir")
    @classmethod
    def _expand_home(cls, value: Path | None) -> Path | None:
        return value.expanduser() if value is not None else None

    @field_validator("label_studio_url", "checkpoint_mirror")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"must start with http:// or https://, found {value!r}")
        return value.rstrip("/") if value else value

    @property
    def engine_options(self) -> EngineOptions:
        """How the engine computes."""
        return EngineOptions(
            precision=self.precision,
            compiled=self.compile,
            micro_batch=None if self.micro_batch == "auto" else self.micro_batch,
            micro_batch_wait_seconds=self.micro_batch_wait_ms / 1000,
        )

    @property
    def shared_folder(self) -> Path:
        """Where ``versions`` is."""
        return self.shared_dir or self.data_dir

    @property
    def http_threads(self) -> int:
        """Threads of the web server: enough that ``/health`` is answered while every allowed prediction works or waits."""
        return self.threads + self.max_waiting + 4

    @classmethod
    def from_env(cls, env_file: Path | None = Path(".env")) -> Settings:
        """Read the environment, then ``env_file``; an empty variable counts as not set.

        Raises:
            SettingsError: a value does not parse, named with its variable.
        """
        _warn_of_unknown_variables()
        try:
            read = _EnvironmentSettings(_env_file=env_file)  # type: ignore[call-arg]
        except ValidationError as error:
            problems = "; ".join(f"{_variable_of(problem['loc'])}: {problem['msg']}" for problem in error.errors())
            raise SettingsError(f"cannot use the settings of the environment: {problems}") from error
        return cls.model_validate({name: getattr(read, name) for name in cls.model_fields})


class _EnvironmentSettings(BaseSettings, Settings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)


def variable_name(field_name: str) -> str:
    """Name of the environment variable that sets a field of :class:`Settings`."""
    alias = Settings.model_fields[field_name].validation_alias
    return alias if isinstance(alias, str) else PREFIX + field_name.upper()


def settings_table() -> str:
    """Markdown table of every setting, as the README holds it."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{variable_name(name)}` | {_shown_default(field)} | {field.description} |")
    return "\n".join(rows)


def _shown_default(field: FieldInfo) -> str:
    default = field.default
    if default is None or default == ():
        return ""
    if isinstance(default, ByteSize):
        return f"`{default // _MIB}MiB`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _variable_of(location: tuple[int | str, ...]) -> str:
    name = str(location[0])
    return variable_name(name) if name in Settings.model_fields else name


def _warn_of_unknown_variables() -> None:
    known = [variable_name(name) for name in Settings.model_fields]
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            logger.warning("%s is not a setting and has no effect%s", name, f"; did you mean {close[0]}?" if close else "")
