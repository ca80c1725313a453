"""Which providers there are, chosen by what is configured; each is imported only then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twingraph.dispatch.secrets.base import SecretProvider
from twingraph.dispatch.secrets.environment import EnvironmentSecrets
from twingraph.dispatch.secrets.lookup import Secrets


def configured(environ: Mapping[str, str], file: Path | None, vault_path: str | None) -> Secrets:
    """The environment first, then the file, then Vault."""
    providers: list[SecretProvider] = [EnvironmentSecrets(environ)]
    if file is not None:
        from twingraph.dispatch.secrets.file import FileSecrets

        providers.append(FileSecrets(file))
    if environ.get("VAULT_ADDR"):
        from twingraph.dispatch.secrets.vault import VaultOptions, VaultSecrets

        options = VaultOptions(
            address=environ["VAULT_ADDR"],
            token=environ.get("VAULT_TOKEN", ""),
            namespace=environ.get("VAULT_NAMESPACE", ""),
            ca_file=environ.get("VAULT_CACERT", ""),
            path=vault_path or "",
        )
        providers.append(VaultSecrets(options))
    return Secrets(providers)
