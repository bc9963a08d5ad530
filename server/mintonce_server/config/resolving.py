"""What follows from the settings that were given: secrets from files, token URLs from domains."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, InitSettingsSource

from mintonce_server.config.faults import SettingPath
from mintonce_server.config.files import FileFault, read_secret
from mintonce_server.config.findings import NAMED, TWO_WAYS, Findings, tables
from mintonce_server.config.types import url_of_domain


class ResolvingSource(InitSettingsSource):
    """The last source: completes what those before it said, overriding nothing.

    Not SecretsSettingsSource: that one finds files by their names in one folder; here settings name them one by one.
    """

    def __init__(self, settings: type[BaseSettings], findings: Findings) -> None:
        super().__init__(settings, {})
        self.values: dict[str, Any] = {}
        """Once asked: everything that was found, merged and completed."""
        self._findings = findings

    def __call__(self) -> dict[str, Any]:
        values = deepcopy(self.current_state)
        for section in ("redis", *NAMED):
            values.setdefault(section, {})  # what is missing is then missing inside of it, and told as such
        for path, given in tables(values):
            if not self._are_both(path, given):
                self._complete(path, given)
        self.values = values
        return values

    def _are_both(self, path: SettingPath, given: dict[str, Any]) -> bool:
        one, other = TWO_WAYS.get(path[0], ("", ""))
        both = one in given and other in given
        if both:
            self._findings.spoil((*path, one), f"is given, and {other} too", f"Give either {one} or {other}.")
            self._findings.spoiled.add((*path, other))
        return both

    def _complete(self, path: SettingPath, given: dict[str, Any]) -> None:
        if path[0] == "issuers":
            if "domain" in given:
                self._spell_out(path, given)
        elif path[0] in ("redis", "clients"):
            plain, named = TWO_WAYS[path[0]]
            if named in given:
                self._read_file(path, given, plain, named)

    def _read_file(self, path: SettingPath, given: dict[str, Any], plain: str, named: str) -> None:
        try:
            given[plain] = read_secret(Path(str(given[named])))
        except FileFault as error:
            self._findings.spoil((*path, named), str(error), error.remedy)
            self._findings.spoiled.add((*path, plain))
        else:
            self._findings.origins[*path, plain] = self._findings.where((*path, named))

    def _spell_out(self, path: SettingPath, given: dict[str, Any]) -> None:
        domain, target = (*path, "domain"), (*path, "token_url")
        if isinstance(given["domain"], str) and domain not in self._findings.spoiled:
            given["token_url"] = url_of_domain(given["domain"])
            self._findings.origins[target] = self._findings.where(domain)
        else:
            self._findings.spoiled.add(target)  # that the domain is no text is said once
        given.setdefault("request", "json")
