"""`${CREDENTIALS_DIRECTORY}` at the beginning of a setting that names a file: where systemd puts LoadCredential= files.

No other variable is replaced: a file of settings means the same in each environment, but for this folder, whose path
systemd chooses.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from mintonce_server.config.issues import Issues, SettingPath

VARIABLE: Final = "CREDENTIALS_DIRECTORY"
PLACEHOLDER: Final = f"${{{VARIABLE}}}"
_ANY: Final = re.compile(r"\$\{[^{}]*\}?")


class Credentials:
    """Replaces the placeholder by the folder that the environment names."""

    def __init__(self, environ: Mapping[str, str], issues: Issues) -> None:
        self._directory = environ.get(VARIABLE, "")
        self._issues = issues

    def path(self, setting: SettingPath, text: str, relative_to: Path | None = None) -> str:
        """The path that a setting means. A relative one begins at `relative_to`.

        Adds an issue for a placeholder that cannot be replaced, and returns the text as it is.
        """
        if text.startswith(f"{PLACEHOLDER}/"):
            if self._directory.startswith("/"):
                return self._directory.rstrip("/") + text.removeprefix(PLACEHOLDER)
            self._issues.add(
                setting,
                f"begins with {PLACEHOLDER}, but the variable {VARIABLE} is not set",
                "systemd sets it for a unit with LoadCredential=. Elsewhere set it to the folder with these files.",
            )
            return text
        if _ANY.search(text):
            self._issues.add(
                setting,
                "contains a placeholder that is not replaced",
                f"Only {PLACEHOLDER}/NAME is replaced, at the beginning. Write any other path in full.",
            )
            return text
        return str(relative_to / text) if relative_to else text


def with_paths(name: str, value: object, path: Callable[[str], str]) -> Any:
    """The value of a setting with `path` applied to each file that it names; other settings as they are."""
    match value:
        case str() if name.endswith("_file") and value:
            return path(value)
        case dict() if name.endswith("_files"):
            named = cast("dict[str, object]", value)
            return {key: path(file) if isinstance(file, str) and file else file for key, file in named.items()}
        case list() if name.endswith("_files"):
            listed = cast("list[object]", value)
            return [path(file) if isinstance(file, str) and file else file for file in listed]
        case _:
            return value
