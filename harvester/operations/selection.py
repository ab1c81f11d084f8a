"""What a run is asked to harvest: the settings, narrowed by the command line, checked before the first call."""

import datetime as dt
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypedDict, Unpack

from harvester.campaign_keys import CampaignKeys, open_key_file, read_lines
from harvester.errors import ConfigError
from harvester.listing import CampaignFilter, CampaignType
from harvester.model import Action, Campaign, Command
from harvester.settings import KeyFile, Settings

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Selection:
    """What one run harvests.

    Attributes:
        accounts: names, in the order of the configuration.
        actions: in the order in which they are asked for.
        date: the harvest date.
        keys: campaign keys; None to discover them.
        is_refresh: also harvest again what is done.
        command: what the run is for.
        campaign_filter: which of the discovered campaigns are meant.
    """

    accounts: tuple[str, ...]
    actions: tuple[Action, ...]
    date: dt.date
    keys: CampaignKeys | None
    is_refresh: bool
    command: Command = Command.RUN
    campaign_filter: CampaignFilter = field(default_factory=CampaignFilter)

    def on(self, date: dt.date) -> "Selection":
        """Return the same for another harvest date."""
        return replace(self, date=date)

    def campaigns(self) -> Iterator[Campaign]:
        """Yield the named campaigns, each once, after all of the list is read and found good.

        Raises:
            ConfigError: the list is bad or empty; nothing was yielded before.
        """
        with TemporaryFile("w+", encoding="ascii") as checked:
            checked.writelines(f"{key}\n" for key in self.keys or ())
            checked.seek(0)
            yield from (Campaign(line.rstrip("\n")) for line in checked)


class Chosen(TypedDict, total=False):
    """What the flags of a command choose; the last four are traits of campaigns that are discovered."""

    accounts: tuple[str, ...]
    actions: tuple[str, ...]
    as_of: dt.datetime | None
    refresh: bool
    since: dt.datetime | None
    until: dt.datetime | None
    names: tuple[str, ...]
    types: tuple[str, ...]


def select(
    settings: Settings, keys: CampaignKeys | None, command: Command = Command.RUN, **chosen: Unpack[Chosen]
) -> Selection:
    """Return what the flags select of the settings; what is left out is all of it, and today in UTC.

    Raises:
        ConfigError: an account is unknown; keys are named for several, as a key belongs to one; or traits beside keys.
    """
    names = _accounts(settings, chosen.get("accounts", ()))
    if keys is not None and len(names) > 1:
        raise ConfigError(
            f"Campaign keys are named, but there are {len(names)} accounts ({', '.join(names)}).",
            "Say whose they are with --account.",
        )
    traits = [name for name in ("since", "until", "names", "types") if chosen.get(name)]
    if keys is not None and traits:
        raise ConfigError(
            f"Campaign keys are named, and --{traits[0].removesuffix('s')} chooses among those that are discovered.",
            "Leave out the one or the other.",
        )
    as_of = chosen.get("as_of")
    return Selection(
        accounts=names,
        actions=tuple(Action(action) for action in dict.fromkeys(chosen.get("actions", ())))
        or settings.harvest.actions,
        date=as_of.date() if as_of else dt.datetime.now(dt.UTC).date(),
        keys=keys,
        is_refresh=chosen.get("refresh", False),
        command=command,
        campaign_filter=_filter_of(chosen),
    )


def _filter_of(chosen: Chosen) -> CampaignFilter:
    since, until = chosen.get("since"), chosen.get("until")
    if since is not None and until is not None and until < since:
        raise ConfigError(f"--until {until:%Y-%m-%d} lies before --since {since:%Y-%m-%d}.", "Exchange them.")
    return CampaignFilter(
        sent_since=since.date() if since else None,
        sent_until=until.date() if until else None,
        names=chosen.get("names", ()),
        types=tuple(map(CampaignType, chosen.get("types", ()))),
    )


def _accounts(settings: Settings, names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in settings.accounts]
    if unknown:
        known = ", ".join(settings.accounts)
        raise ConfigError(f"There is no account {unknown[0]!r} in the configuration.", f"Configured: {known}.")
    return tuple(name for name in settings.accounts if not names or name in names)


def keys_of(settings: Settings, named: tuple[str, ...], key_file: str | None) -> CampaignKeys | None:
    """Return the campaign keys of the command line, else those of the configuration; None to discover them."""
    if named and key_file:
        raise ConfigError("--campaign and --campaigns-file exclude each other.", "Give one of them.")
    if named:
        return CampaignKeys((key.encode("utf-8", "surrogateescape") for key in named), "--campaign")
    if key_file == STDIN:
        return CampaignKeys(read_lines(sys.stdin.buffer), "standard input")
    if key_file:
        return CampaignKeys(open_key_file(Path(key_file)), key_file)
    campaigns = settings.harvest.campaigns
    if isinstance(campaigns, KeyFile):
        return CampaignKeys(open_key_file(campaigns.file), str(campaigns.file))
    if isinstance(campaigns, str):
        return None
    return CampaignKeys((key.encode() for key in campaigns), "harvest.campaigns")
