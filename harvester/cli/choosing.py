"""Which of the harvests that the ledger knows a command means."""

import datetime as dt
from collections.abc import Sequence

from harvester.errors import ConfigError
from harvester.model import Harvest


def chosen_harvests(
    harvests: Sequence[Harvest], accounts: Sequence[str], date: dt.date | None, *, is_all: bool
) -> list[Harvest]:
    """Return the harvests that are meant, the oldest first; what was named must be there.

    Args:
        harvests: all, the newest first.
        accounts: which; empty for all.
        date: of which date; None for the newest of each account, or all.
        is_all: whether all dates are meant.
    """
    known = {harvest.account for harvest in harvests}
    if unknown := [account for account in accounts if account not in known]:
        raise ConfigError(
            f"The ledger knows no harvest of account {unknown[0]!r}.", f"It knows: {', '.join(sorted(known))}."
        )
    meant = [harvest for harvest in harvests if not accounts or harvest.account in accounts]
    if date is not None:
        meant = [harvest for harvest in meant if harvest.date == date]
        if not meant:
            raise ConfigError(f"The ledger knows no harvest of {date}.", "harvester status --all lists the dates.")
    elif not is_all:
        newest = {harvest.account: harvest for harvest in reversed(meant)}
        meant = list(newest.values())
    return sorted(meant, key=lambda harvest: (harvest.date, harvest.account))
