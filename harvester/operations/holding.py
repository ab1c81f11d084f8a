"""What the manifests of an output folder name, read for the commands that work on finished files."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from harvester.errors import ConfigError, VerificationError
from harvester.report.printable import printable
from harvester.store.manifest_reading import ManifestError, read_manifest
from harvester.store.partitions import RECIPIENTS
from harvester.warehouse.columns import campaign_columns, change_columns, columns_of
from harvester.warehouse.holdings import Holdings, StrangePathError
from harvester.warehouse.views import Shapes
from harvester.zoho.campaign_records import COLUMNS
from harvester.zoho.record_schema import DESCRIPTION

MEND = "harvester verify --repair writes it anew."

RECORD = columns_of(DESCRIPTION)
SHAPES = Shapes(RECORD, change_columns(RECORD), campaign_columns(COLUMNS))


def need_duckdb() -> None:
    """See that the engine is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("duckdb") is None:
        raise ConfigError("This command needs DuckDB, which is not installed.", "pip install 'harvester[sql]'")


def manifest_of(output: Path, account: str, date: str) -> Path:
    """Return where the manifest of an account and ISO date lies."""
    return output / RECIPIENTS / f"account={account}" / f"dt={date}" / "_manifest.json"


def manifests_of(output: Path) -> list[Path]:
    """Return all manifests that are there, the oldest date first."""
    found = (output / RECIPIENTS).glob("account=*/dt=*/_manifest.json")
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
