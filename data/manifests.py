"""Manifests of datasets: what stands beside the tables, and the fingerprint of it all."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.privacy import RELEASE
from data.public_counts import OPTION, bounds_of
from data.schema import SCHEMAS, DataError

FORMAT, FEATURES = "persarank-dataset", "persarank-features"
TABLES = {FORMAT: tuple(SCHEMAS), FEATURES: ("users", "slates", "candidates")}
"""What a manifest says it is of, and the tables that it then must list."""

VERSION = 1
MANIFEST = "manifest.json"


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """A short text that is equal for equal files, of which the same is counted."""
    files = manifest["files"]
    bounds = bounds_of(manifest)
    told = files if bounds is None else {"files": files, OPTION: bounds}
    if RELEASE in manifest:
        told = {**told, RELEASE: manifest[RELEASE]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def parsed(path: Path) -> dict[str, Any]:
    """A manifest, as far as it is one; what it lists has not been looked at.

    Raises:
        DataError: there is none, or it is no manifest of a version that is understood.
    """
    if not path.is_file():
        raise DataError(f"{path.parent} is not a PersaRank dataset: it has no manifest.json.")
    try:
        manifest = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") not in list(TABLES):
        raise DataError(f"{path} is not the manifest of a PersaRank dataset.")
    if not isinstance(manifest.get("options", {}), dict):
        raise DataError(f"{path} is damaged: its options are {manifest['options']!r}.")
    if manifest.get("version") != VERSION or not isinstance(manifest.get("files"), dict):
        raise DataError(
            f"{path} has version {manifest.get('version')}: this program reads version {VERSION}."
        )
    return manifest
