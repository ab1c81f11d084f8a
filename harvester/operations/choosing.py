"""Which of the harvests that the ledger knows a command means."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from harvester.errors import ConfigError
from harvester.model import Harvest


@dataclass(frozen=True, slots=True)
class Choice:
    """Which harvests are meant; without accounts all of them, without a date the newest of each, unless `is_all`."""

    accounts: tuple[str, ...] = ()
    date: dt.date | None = None
    is_all: bool = False

    def has(self, account: str, date: str) -> bool:
        """Tell whether an account and ISO date may be meant; whether the date is the newest is not looked at."""
        is_account = not self.accounts or account in self.accounts
        return is_account and (self.date is None or date == self.date.isoformat())


def chosen_harvests(harvests: Sequence[Harvest], choice: Choice) -> list[Harvest]:
    """Return the harvests that are meant, the oldest first.

    Args:
        harvests: all, the newest first.
        choice: which.

    Raises:
        ConfigError: an account or date that is named has none.
    """
    known = {harvest.account for harvest in harvests}
    if unknown := [account for account in choice.accounts if account not in known]:
        raise ConfigError(
            f"The ledger knows no harvest of account {unknown[0]!r}.", f"It knows: {', '.join(sorted(known))}."
        )
    meant = [harvest for harvest in harvests if choice.has(harvest.account, harvest.date.isoformat())]
    if choice.date is not None and not meant:
        raise ConfigError(f"The ledger knows no harvest of {choice.date}.", "harvester status --all lists the dates.")
    if choice.date is None and not choice.is_all:
        newest = {harvest.account: harvest for harvest in reversed(meant)}
        meant = list(newest.values())
    return sorted(meant, key=lambda harvest: (harvest.date, harvest.account))
