"""How does the schema change? By the real Liquibase, a process a command: 1.5 s each."""

import subprocess
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from stack.endpoints import StackError
from stack.jars import JAVA, class_path

ROOT_CHANGELOG = "changelog.yaml"

_MAIN_CLASS = "liquibase.integration.commandline.LiquibaseCommandLine"
# An index of a table that has grown for years takes its time; who is killed in it leaves Liquibase's lock behind.
_TIMEOUT_S = 6 * 3_600.0
_ERROR_LINES = 15
_ALL = 1_000_000


class Liquibase:
    """``dsn`` as asyncpg takes it; ``changelog_root`` is the folder of ``changelog.yaml``, and all that is searched.

    Every method blocks and raises StackError with Liquibase's own last words.
    """

    def __init__(self, dsn: str, changelog_root: Path) -> None:
        self._dsn = urlsplit(dsn)
        self._root = changelog_root.absolute()

    def update(self) -> None:
        """Run every changeset that has not been run; nothing happens when there is none."""
        self._run("update")

    def rollback_all(self) -> None:
        """Undo every changeset, the last one first."""
        self.rollback(_ALL)

    def rollback(self, count: int) -> None:
        """Undo the last ``count`` changesets."""
        self._run("rollback-count", f"--count={count}")

    def _run(self, command: str, *options: str) -> None:
        jars = class_path("liquibase", on_fetch=lambda done, total: None)
        try:
            done = subprocess.run(
                [
                    JAVA,
                    "-XX:TieredStopAtLevel=1",
                    "-Djava.awt.headless=true",
                    *("-cp", str(jars), _MAIN_CLASS),
                    "--analytics-enabled=false",
                    "--show-banner=false",
                    f"--search-path={self._root}",
                    command,
                    f"--changelog-file={ROOT_CHANGELOG}",
                    f"--url={_jdbc_url(self._dsn)}",
                    *options,
                ],
                env=self._credentials(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"liquibase {command} took more than {_TIMEOUT_S:.0f} s") from error
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise StackError(f"liquibase {command} failed:\n" + "\n".join(lines[-_ERROR_LINES:]))

    def _credentials(self) -> dict[str, str]:
        """In the environment, where other users of the machine do not see them."""
        return {
            "LC_ALL": "C.UTF-8",
            "LIQUIBASE_COMMAND_USERNAME": unquote(self._dsn.username or "postgres"),
            "LIQUIBASE_COMMAND_PASSWORD": unquote(self._dsn.password or ""),
        }


def _jdbc_url(dsn: SplitResult) -> str:
    query = f"?{dsn.query}" if dsn.query else ""
    return f"jdbc:postgresql://{dsn.hostname or 'localhost'}:{dsn.port or 5432}{dsn.path or '/postgres'}{query}"
