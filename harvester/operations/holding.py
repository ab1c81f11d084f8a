"""What the manifests of an output folder name, read for the commands that work on finished files."""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from harvester.errors import ConfigError, VerificationError
from harvester.report.printable import printable
from harvester.store.disk import is_file_of
from harvester.store.manifest_reading import MANIFEST, ManifestError, manifest_path, read_manifest
from harvester.store.partitions import RECIPIENTS
from harvester.warehouse.columns import campaign_columns, change_columns, columns_of
from harvester.warehouse.holdings import Holdings, StrangePathError
from harvester.warehouse.views import Shapes
from harvester.zoho.campaign_records import COLUMNS
from harvester.zoho.record_schema import DESCRIPTION

MEND = "harvester verify --repair writes it anew."
CHANGED = "Where a run was at work give the same command again; else harvester verify tells what is wrong."

RECORD = columns_of(DESCRIPTION)
SHAPES = Shapes(RECORD, change_columns(RECORD), campaign_columns(COLUMNS))


def need_duckdb() -> None:
    """See that the engine is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("duckdb") is None:
        raise ConfigError("This needs DuckDB, which is not installed.", "make extras, or: pip install 'harvester[sql]'")


def check_sizes(output: Path, sizes: Mapping[str, int]) -> None:
    """See that files are what the manifests say, by their sizes: the engine takes one that was cut off for a short one.

    Args:
        output: the output folder.
        sizes: in bytes, by path below it.

    Raises:
        VerificationError: a file is not.
    """
    for path, size_bytes in sizes.items():
        if not is_file_of(output / path, size_bytes):
            raise VerificationError(f"{output / path}: it is not the file that the manifest names.", CHANGED)


def manifest_of(output: Path, account: str, date: str) -> Path:
    """Return where the manifest of an account and ISO date lies."""
    return output / manifest_path(account, date)


def manifests_of(output: Path) -> list[Path]:
    """Return all manifests that are there, the oldest date first."""
    found = (output / RECIPIENTS).glob(f"account=*/dt=*/{MANIFEST}")
    return sorted(found, key=lambda manifest: (manifest.parent.name, manifest))


def holdings_of(manifests: Iterable[Path]) -> Holdings:
    """Return all that these manifests name, in the order given.

    Raises:
        VerificationError: a manifest cannot be read, or names what is none of our files.
    """
    holdings = Holdings()
    for manifest in manifests:
        try:
            holdings.add(read_manifest(manifest))
        except ManifestError as error:
            raise VerificationError(f"{manifest}: {error}.", MEND) from None
        except (KeyError, TypeError):
            raise VerificationError(f"{manifest}: it is no manifest of this version.", MEND) from None
        except StrangePathError as error:
            raise VerificationError(f"{manifest}: it names {printable(str(error))}, none of our files.", MEND) from None
    return holdings
