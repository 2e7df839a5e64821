"""How do the jars' lock files come about? ``python -m stack.lock`` resolves every ``*.jgo.toml`` beside this file."""

import sys
from pathlib import Path

from jgo.env import EnvironmentBuilder, EnvironmentSpec, LockFile

from stack.jars import maven


def lock(spec_path: Path) -> Path:
    """Write exact versions and hashes, the dependencies' dependencies included; no address of any host."""
    repository = maven()
    spec = EnvironmentSpec.load(spec_path)
    named, others = repository.resolver.resolve(EnvironmentBuilder(repository).spec_to_dependencies(spec))
    needed = [*named, *(one for one in others if one.scope in ("compile", "runtime"))]
    target = spec_path.with_name(spec_path.name.replace(".jgo.toml", ".jgo.lock.toml"))
    LockFile.from_resolved_dependencies(needed, environment_name=spec.name).save(target)
    return target


if __name__ == "__main__":
    for path in sorted(Path(__file__).parent.glob("*.jgo.toml")):
        sys.stdout.write(f"{lock(path).name}\n")
