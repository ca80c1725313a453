"""Where the settings say that values are kept."""

from __future__ import annotations

from twingraph.settings import Settings, SettingsError
from twingraph.store.home import Home


def blob_address(settings: Settings, home: Home) -> str:
    """As it is told to every process that reads or writes them."""
    if settings.blob_url is None:
        return str(home.path)
    from twingraph.store.blobs.address import check_url, with_cache

    try:
        return with_cache(check_url(settings.blob_url), home.path / "cache" / "blobs")
    except ValueError as error:
        raise SettingsError(f"TWINGRAPH_BLOB_URL: {error}") from error
