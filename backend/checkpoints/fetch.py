"""From an entry of the registry to its file in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from backend.checkpoints import hub
from backend.checkpoints.download import PAUSES, Report, Wanted, download
from backend.checkpoints.errors import CheckpointError, ChoiceNeeded, NotWeights, Offline, SourceUnavailable
from backend.checkpoints.store import Recorded, Store
from backend.settings import Settings
from models import Checkpoint, WeightsError


@dataclass(frozen=True, slots=True)
class Source:
    """Where a file comes from, under which name it is kept, and what is known of it."""

    wanted: Wanted
    file_name: str


class Fetcher:
    """Brings published files into a store.

    Args:
        store: where they go.
        mirror: address that stands in for every source's scheme and host; a mirror serves the same paths.
        offline: fetch nothing, say what to place by hand instead.
        verify: hold a file against the listing of its format before it gets its name.
        pauses: seconds before each further attempt after a broken connection.
    """

    def __init__(
        self, store: Store, *, mirror: str | None = None, offline: bool = False, verify: bool = True, pauses: tuple[float, ...] = PAUSES
    ) -> None:
        self._store = store
        self._mirror = mirror.rstrip("/") if mirror else None
        self._offline = offline
        self._verify = verify
        self._pauses = pauses

    def fetch(self, checkpoint: Checkpoint, report: Report, *, file: str | None = None) -> Path:
        """The file of a checkpoint, fetched unless it is there already and whole.

        Args:
            checkpoint: what to fetch.
            report: is told the progress.
            file: which file of its repository, where the registry does not say.

        Raises:
            CheckpointError: it cannot be had; the message says which file to put where.
        """
        there = self._store.find(checkpoint)
        if there is not None and (file is None or self._came_from(checkpoint, file)):
            self._store.check_digest(checkpoint, there)
            return there
        try:
            if self._offline:
                raise Offline("WORDMASK_OFFLINE is set, nothing is fetched")
            source = self._source(checkpoint, file)
            target = self._store.folder_of(checkpoint) / source.file_name
            digest = download(source.wanted, target, check=self._check_of(checkpoint), report=report, pauses=self._pauses)
        except ChoiceNeeded:
            raise
        except CheckpointError as error:
            raise type(error)(f"{checkpoint.name}: {error}. By hand: {by_hand(checkpoint, self._store, file)}") from error
        entry = Recorded(file=target.name, size=target.stat().st_size, sha256=digest, source=source.wanted.url)
        self._store.record(checkpoint, entry)
        return target

    def _source(self, checkpoint: Checkpoint, file: str | None) -> Source:
        if checkpoint.url is not None:
            name = checkpoint.file_name or checkpoint.name
            digest = self._store.expected_digest(checkpoint, name)
            return Source(Wanted(self._mirrored(checkpoint.url), checkpoint.size, digest), name)
        if checkpoint.repository is None:
            raise SourceUnavailable("nobody publishes this file")
        chosen = self._choose(checkpoint, checkpoint.repository, file or checkpoint.file)
        url = hub.file_url(checkpoint.repository, checkpoint.revision, chosen.path, self._mirror or hub.HUB)
        name = PurePosixPath(chosen.path).name
        if name in ("", ".."):
            raise SourceUnavailable(f"{checkpoint.repository} lists {chosen.path!r}, which is no file")
        recorded = self._store.expected_digest(checkpoint, name) if self._came_from(checkpoint, chosen.path) else None
        digest = chosen.sha256 or checkpoint.sha256 or recorded
        return Source(Wanted(url, chosen.size, digest), name)

    def _came_from(self, checkpoint: Checkpoint, path: str) -> bool:
        """Whether the file that is recorded came from this path of the repository; files of one name lie in several folders there."""
        recorded = self._store.recorded(checkpoint)
        return recorded is not None and recorded.source.endswith(f"/{quote(path)}")

    def _choose(self, checkpoint: Checkpoint, repository: str, path: str | None) -> hub.HubFile:
        try:
            files = hub.list_files(repository, checkpoint.revision, checkpoint.files, self._mirror or hub.HUB)
        except SourceUnavailable:
            if path is None:
                raise
            return hub.HubFile(path, checkpoint.size, checkpoint.sha256)  # a plain mirror has files but no API
        if path is None and len(files) == 1:
            return files[0]
        for found in files:
            if found.path == path:
                return found
        if not files:
            raise SourceUnavailable(f"{repository} has no file like {checkpoint.files}")
        problem = f"{repository} has no file {path!r}" if path else f"{repository} has {len(files)} files that it could be"
        raise ChoiceNeeded(f"{problem}; choose one: wordmask checkpoints fetch {checkpoint.name} --file PATH", files)

    def _mirrored(self, url: str) -> str:
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return url if self._mirror is None else f"{self._mirror}{parts.path}{query}"

    def _check_of(self, checkpoint: Checkpoint) -> Callable[[Path], None]:
        def check(path: Path) -> None:
            from models import verify_checkpoint  # loads torch

            try:
                verify_checkpoint(path, checkpoint, check_records=checkpoint.sha256 is None)
            except WeightsError as error:
                raise NotWeights(str(error)) from error

        return check if self._verify else lambda path: None


def by_hand(checkpoint: Checkpoint, store: Store, file: str | None = None) -> str:
    """One sentence: which file to put where, and what to run then."""
    name = PurePosixPath(file).name if file else checkpoint.file_name
    if checkpoint.url is not None:
        origin = f"{name} from {checkpoint.url}"
    elif checkpoint.repository is not None:
        origin = f"{name or 'the file of your choice'} from {hub.HUB}/{checkpoint.repository}"
    else:
        origin = "your file"
    return f"put {origin} into {store.folder_of(checkpoint)}, then run: wordmask checkpoints verify {checkpoint.name}"


def fetcher_of(settings: Settings, *, verify: bool = True) -> Fetcher:
    """The fetcher that the settings describe."""
    return Fetcher(store_of(settings), mirror=settings.checkpoint_mirror, offline=settings.offline, verify=verify)


def store_of(settings: Settings) -> Store:
    """The store that the settings describe."""
    return Store(settings.checkpoint_dir or settings.data_dir / "checkpoints")
