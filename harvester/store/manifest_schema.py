"""What stands in a manifest: one description of its keys, and the JSON Schema that follows from it (pure).

Version 1 is stable: later versions of harvester may add keys, and nothing else. So a reader that passes over keys which
it does not know reads every manifest of version 1; whatever else were to change would be another version.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum, auto
from typing import Any

from harvester.json_schema import DRAFT, Key, object_schema
from harvester.model import Action, Discovery, JobState

MANIFEST_VERSION = 1


class DateState(StrEnum):
    """How far a harvest date has come; what a reader looks at first."""

    COMPLETE = auto()  #: every job that the ledger knows of the date is done, carried or skipped
    PARTIAL = auto()  #: no run is at work on it, and something is missing
    RUNNING = auto()  #: a run has begun to work on it; if that one was killed, nobody has said so


_TEXT = ("string",)
_TEXT_OR_NULL = ("string", "null")
_NUMBER = ("integer",)
_NUMBER_OR_NULL = ("integer", "null")
_LIST = ("array",)
_OBJECT = ("object",)
_OBJECT_OR_NULL = ("object", "null")

_TEXTS = {"items": {"type": "string"}}
_NOT_NEGATIVE = {"minimum": 0}
_MOMENT = {"format": "date-time"}
_DAY = {"format": "date"}
_SHA256 = {"pattern": "^[0-9a-f]{64}$"}
_NUMBERS = {"additionalProperties": {"type": "integer", "minimum": 0}}
_ACTION = {"enum": [action.value for action in Action]}


def _inner(keys: Sequence[Key]) -> dict[str, Any]:
    """Return the keywords that say which keys an object has; its type stands beside them."""
    return {name: value for name, value in object_schema(keys).items() if name != "type"}


LISTING = (
    Key("path", _TEXT, "the file, below the output folder"),
    Key("campaigns", _NUMBER, "how many it holds", _NOT_NEGATIVE),
    Key("bytes", _NUMBER, "its size", _NOT_NEGATIVE),
    Key("sha256", _TEXT, "its hash", _SHA256),
    Key("children_missing", _NUMBER, "A/B campaigns whose test halves could not be asked for", _NOT_NEGATIVE),
)

PRIVACY = (
    Key("email", _TEXT, "what became of addresses", {"enum": ["keep", "hmac", "drop"]}),
    Key("key_id", _TEXT_OR_NULL, "with `hmac`: where it is equal, hashes were made with the same key"),
    Key("raw", ("boolean",), "whether rows are kept beside their columns"),
    Key("allow_fields", _LIST, "the only columns of a contact that are kept; all if empty", _TEXTS),
    Key("deny_fields", _LIST, "those that are not kept", _TEXTS),
)

CHANGES = (
    Key("path", _TEXT_OR_NULL, "the change file; null where nothing changed"),
    Key("added", _NUMBER, "contacts", _NOT_NEGATIVE),
    Key("removed", _NUMBER, "contacts", _NOT_NEGATIVE),
    Key("changed", _NUMBER, "contacts", _NOT_NEGATIVE),
    Key("bytes", _NUMBER, "size of the file; 0 without one", _NOT_NEGATIVE),
    Key("sha256", _TEXT_OR_NULL, "its hash", _SHA256),
    Key("against", _TEXT_OR_NULL, "the date with which it was compared; null the first time", _DAY),
    Key("against_sha256", _TEXT_OR_NULL, "the hash of that date's partition", _SHA256),
    Key("left_out", _TEXT_OR_NULL, "why it could not be compared, or null"),
)

JOB = (
    Key("campaign_key", _TEXT, "which campaign"),
    Key("parent_campaign_key", _TEXT_OR_NULL, "the A/B campaign that it is a test half of"),
    Key("action", _TEXT, "which of its nine sets", _ACTION),
    Key("state", _TEXT, "[below](#states-of-a-job)", {"enum": [state.value for state in JobState]}),
    Key(
        "due",
        _TEXT_OR_NULL,
        "why the set was read on this date, such as `its counter moved from 3 to 5`; null where nobody asked why",
    ),
    Key(
        "carried_from",
        _TEXT_OR_NULL,
        "the date on which its file, or the answer that there is nothing, was read; null if that is this one. How it"
        " was read (`ending`, `duplicates`, `consistency`, times) stands in the manifest of that date",
        _DAY,
    ),
    Key(
        "changes",
        _OBJECT_OR_NULL,
        "what the comparison with the harvest before it found; null while there was none",
        _inner(CHANGES),
    ),
    Key(
        "path",
        _TEXT_OR_NULL,
        "the file, below the output folder; of an earlier harvest, if a new one was begun and is not done; null without"
        " one",
    ),
    Key("rows", _NUMBER_OR_NULL, "of the file", _NOT_NEGATIVE),
    Key("bytes", _NUMBER_OR_NULL, "of the file", _NOT_NEGATIVE),
    Key("sha256", _TEXT_OR_NULL, "of the file, in hex", _SHA256),
    Key(
        "calls",
        _NUMBER,
        "spent since the job last began from its first row; both harvests, if it was doubted",
        _NOT_NEGATIVE,
    ),
    Key("codes", _OBJECT, "how often the API answered what", _NUMBERS),
    Key("ending", _TEXT_OR_NULL, "how the last page was proven last"),
    Key("duplicates", _NUMBER, "rows dropped because their contact was there already", _NOT_NEGATIVE),
    Key(
        "consistency",
        _TEXT_OR_NULL,
        "`shifted` if the set moved while it was read in a way that could not be mended; `unchecked` if pages of it"
        " share no row, so that a move between them would not show (pages of 50 rows or fewer); else `steady`; null if"
        " not read",
        {"enum": ["shifted", "unchecked", "steady", None]},
    ),
    Key("unreadable_rows", _NUMBER, "rows of that file that could not be read", _NOT_NEGATIVE),
    Key(
        "quarantine",
        _LIST,
        "the files below the output folder with the answers that hold them; they hold personal data, and stay until a"
        " new file takes the place of the old",
        {"items": {"type": "string"}},
    ),
    Key("counter", _NUMBER_OR_NULL, "how many rows the server's report counts; null where nobody asked"),
    Key(
        "verdict",
        _TEXT_OR_NULL,
        "what that says: `proven`, `short by 3`, `over by 2`, `unknown`; null where nothing was asked, and after a run"
        " that named its campaigns until the next that did not",
        {"pattern": "^(proven|short by [0-9]+|over by [0-9]+|unknown)$"},
    ),
    Key("code", _TEXT_OR_NULL, "why it is not done: the API's code, or one of ours"),
    Key("reason", _TEXT_OR_NULL, "the same in words"),
    Key("started_at", _TEXT_OR_NULL, "when its reading from the first row began; null if not read", _MOMENT),
    Key("finished_at", _TEXT_OR_NULL, "when its file was published; null if not read", _MOMENT),
)
"""The keys of an entry of `jobs`, in their order."""

CAMPAIGN = (
    Key("campaign_key", _TEXT, "which"),
    Key(
        "counters",
        _OBJECT,
        "rows that the server counts for each action",
        {"additionalProperties": {"type": "integer"}},
    ),
    Key("counters_code", _TEXT_OR_NULL, "the code of the answer that told them; null if nobody asked"),
    Key(
        "broken_laws",
        _OBJECT,
        "relations of the sets that contacts break, such as `openedcontacts apart from unopenedcontacts`, each with"
        " their number",
        _NUMBERS,
    ),
    Key("laws_unchecked", _TEXT_OR_NULL, "why the sets were not held against each other, or null"),
    Key("details", _OBJECT, "what replies in XML said of the campaign"),
)
"""The keys of an entry of `campaigns`: one of which something is known."""

MANIFEST = (
    Key("manifest_version", _NUMBER, "1: [what that promises](#the-manifest)", {"const": MANIFEST_VERSION}),
    Key("account", _TEXT, "the account's name in the configuration"),
    Key("date", _TEXT, "the harvest date", _DAY),
    Key("state", _TEXT, "`complete`, `partial` or `running`", {"enum": [state.value for state in DateState]}),
    Key(
        "discovery",
        _TEXT,
        "how far the account was listed: `none` (the campaigns were named), `partial`, `whole`",
        {"enum": [discovery.value for discovery in Discovery]},
    ),
    Key("run_id", _TEXT, "the run that is at work on the date, else the last one that was"),
    Key("command", _TEXT_OR_NULL, "of that run: `run`, `nightly`, `backfill`; null where nothing is known of it"),
    Key("started_at", _TEXT_OR_NULL, "when that run began; null likewise", _MOMENT),
    Key(
        "finished_at",
        _TEXT_OR_NULL,
        "when it was done with the date; null while it is not, and where it was killed",
        _MOMENT,
    ),
    Key(
        "written_at",
        _TEXT,
        "when this was written, by that run or by what changed files of the date later: forgetting, a repair, a"
        " comparison",
        _MOMENT,
    ),
    Key("harvester_version", _TEXT, "by which version"),
    Key(
        "config_sha256",
        _TEXT_OR_NULL,
        "a fingerprint of the settings of that run that shape what it writes: another one says that they were others;"
        " secrets, hosts and paths play no part",
        _SHA256,
    ),
    Key(
        "listing",
        _OBJECT_OR_NULL,
        "the file with [all sent campaigns](records.md#the-campaigns); null where they were named",
        _inner(LISTING),
    ),
    Key(
        "privacy",
        _LIST,
        "the [rules on personal data](privacy.md) that were in force while sets of this date were read, the newest"
        " last; nearly always one",
        {"items": object_schema(PRIVACY)},
    ),
    Key("jobs_by_state", _OBJECT, "how many jobs stand in each state", _NUMBERS),
    Key(
        "rows",
        _NUMBER,
        "of the whole snapshot: of every `path` that `jobs` name, also the older files of jobs that are not done",
        _NOT_NEGATIVE,
    ),
    Key("bytes", _NUMBER, "likewise", _NOT_NEGATIVE),
    Key("rows_read", _NUMBER, "of these, read on this date; the others are carried", _NOT_NEGATIVE),
    Key("bytes_read", _NUMBER, "likewise", _NOT_NEGATIVE),
    Key("calls", _NUMBER, "of all jobs", _NOT_NEGATIVE),
    Key("jobs", _LIST, "an entry for each campaign and action", {"items": object_schema(JOB)}),
    Key(
        "campaigns", _LIST, "an entry for each campaign of which something is known", {"items": object_schema(CAMPAIGN)}
    ),
)
"""The keys of a manifest, in their order."""

SCHEMA: Mapping[str, Any] = {
    "$schema": DRAFT,
    "title": "harvester manifest",
    "description": "What is there of one account and harvest date. Version 1; keys may be added.",
    **object_schema(MANIFEST),
}
"""The JSON Schema of a manifest, draft 2020-12."""
