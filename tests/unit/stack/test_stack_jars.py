import re
from pathlib import Path

import jgo.env
import pytest

from stack import jars

LOCKS = sorted(Path(jars.__file__).parent.glob("*.jgo.lock.toml"))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_jar_has_a_hash_and_an_exact_version(path: Path) -> None:
    for jar in jgo.env.LockFile.load(path).dependencies:
        assert jar.sha256 is not None
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert re.match(r"\d", jar.version)
        assert "SNAPSHOT" not in jar.version


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_named_jar_is_locked_at_its_version(path: Path) -> None:
    spec = jgo.env.EnvironmentSpec.load(path.with_name(path.name.replace(".lock", "")))
    locked = {f"{jar.groupId}:{jar.artifactId}:{jar.version}" for jar in jgo.env.LockFile.load(path).dependencies}

    assert set(spec.coordinates) <= locked


def test_no_lock_file_names_a_host() -> None:
    requirements = Path(__file__).parents[3] / "requirements.txt"

    for path in [*LOCKS, requirements]:
        assert "://" not in path.read_text()
