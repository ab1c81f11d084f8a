"""`harvester explain KEY [ACTION]`: why a campaign's partitions are as they are; reads only, also beside a run."""

import datetime as dt
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from harvester.cli.flags import CONFIG
from harvester.clock import SystemClock
from harvester.config import load
from harvester.engine.refresh import RefreshRules
from harvester.errors import ConfigError
from harvester.model import SHORT_PAGE, Action, Command, FailureKind, JobState
from harvester.operations.opening import opened
from harvester.operations.workshop import refresh_rules
from harvester.report.explanation import Answer, ExplainedPage, Explanation, to_json, write
from harvester.report.figures import counted, short_key
from harvester.report.quiet import quiet
from harvester.store.job_history import Histories, JobHistory, KnownCampaign
from harvester.zoho.codes import SUCCESS, Endpoint, meaning_of

ELLIPSES = ("…", "...")
"""What stands at the end of a key that was cut when it was shown."""

KEYS_NAMED_MAX = 5

HTTP = "http-"

ENDINGS: Mapping[str, str] = {
    SHORT_PAGE: "a page shorter than those that this server gives",
    "empty page": "a page without rows",
}

WITHOUT_CODE: Mapping[str, str] = {
    FailureKind.UNREACHED: "no connection to the server",
    FailureKind.NO_TOKEN: "no access token was given",
    FailureKind.LOST: "no whole answer came",
    FailureKind.MALFORMED: "an answer that is none of the API's",
    FailureKind.OVERSIZE: "an answer too large to take",
}
"""Answers that are counted by their kind, because they had no code."""

CARRIED = frozenset({JobState.CARRIED, JobState.SKIPPED})
"""States of jobs that an earlier harvest may have settled."""

NEXT: Mapping[JobState, str] = {
    JobState.DONE: "Nothing is to be done.",
    JobState.PARTIAL: "harvester run asks for all of its rows again.",
    JobState.CARRIED: "Nothing is to be done.",
    JobState.SKIPPED: "Nothing is to be done: there is nothing to ask for.",
    JobState.FAILED: "harvester run tries it again.",
    JobState.PENDING: "harvester run goes on with it.",
    JobState.RUNNING: "harvester status shows whether a run is at work; if none is, harvester run goes on with it.",
}


def _text(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Make text of an argument with bytes that are none: no key and no account has such a name."""
    return value and os.fsencode(value).decode(errors="replace")


@click.command(name="explain")
@click.argument("key", metavar="KEY", callback=_text)
@click.argument("action", required=False, type=click.Choice([action.value for action in Action]), metavar="[ACTION]")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), default=CONFIG, show_default=True,
    help="The configuration file.",
)  # fmt: skip
@click.option("--account", metavar="NAME", callback=_text, help="The account that the campaign belongs to.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The harvest date; default: the newest."
)
@click.option("--json", "is_json", is_flag=True, help="JSON on standard output.")
def command(
    config_path: Path, key: str, action: str | None, account: str | None, *, as_of: dt.datetime | None, is_json: bool
) -> None:
    """Show why the partitions of a campaign are as they are: calls, waits, answers, pages, counters and the end.

    KEY is a campaign key, a beginning of one that no other key shares, or the short form that is shown elsewhere.
    No row and no address is shown, and no call is made.
    """
    settings = load(config_path)
    with opened(settings) as database:
        histories = Histories(database)
        date = as_of.date().isoformat() if as_of else None
        campaign = find(histories, key, account, date)
        found = list(histories.jobs(campaign, date or campaign.newest_date, action))
    if not found:
        raise ConfigError(
            f"{short_key(campaign.key)}: {action} was not asked for on this date.", "Leave the action out."
        )
    rules, now_s = refresh_rules(settings.nightly), SystemClock().now_s()
    explanations = [explained(history, rules, now_s) for history in found]
    if is_json:
        quiet(sys.stdout).write(to_json(explanations).decode())
    else:
        write(sys.stdout, explanations)


def find(histories: Histories, key: str, account: str | None, date: str | None) -> KnownCampaign:
    """Return the one campaign that is meant.

    Raises:
        ConfigError: there is none, or more than one.
    """
    beginning = next((key.removesuffix(end) for end in ELLIPSES if key.endswith(end)), key)
    found = histories.campaigns(beginning, account, date)
    if not found and (elsewhere := histories.campaigns(beginning, None, None)):
        where = ", ".join(f"{each.account} {each.newest_date}" for each in elsewhere[:KEYS_NAMED_MAX])
        raise ConfigError(f"The campaign {key!r} was not harvested there.", f"It was: {where}.")
    if not found:
        nearest = ", ".join(histories.neighbours(beginning))
        raise ConfigError(f"The ledger knows no campaign {key!r}.", f"Nearest: {nearest}." if nearest else "")
    if len(found) > 1:
        some = ", ".join(f"{each.account} {each.key}" for each in found[:KEYS_NAMED_MAX])
        more = f" and {len(found) - KEYS_NAMED_MAX} more" if len(found) > KEYS_NAMED_MAX else ""
        raise ConfigError(
            f"{key!r} may be one of {len(found)} campaigns: {some}{more}.", "Give more of it, or --account."
        )
    return found[0]


def explained(history: JobHistory, rules: RefreshRules, now_s: float) -> Explanation:
    """Return what the ledger knows of a job, in words.

    Args:
        history: of the job.
        rules: by which nightly runs settle what they look at.
        now_s: the present, on the clock of `Clock.now_s`.
    """
    job, report = history.job, history.report
    is_waiting = report.state is JobState.PENDING and report.reason is not None
    is_carried = report.carried_from is not None and report.state in CARRIED
    is_published = report.path is not None and history.finished_s is not None
    return Explanation(
        account=job.account,
        date=job.date.isoformat(),
        campaign_key=report.campaign_key,
        parent_campaign_key=report.parent_campaign_key,
        action=report.action,
        state=report.state,
        because=_why_carried(history, rules) if is_carried else report.due,
        carried_from=report.carried_from,
        next_look=_next_look(history, rules),
        finished_at=_iso(history.finished_s or 0.0) if is_published else None,
        run_id=history.run_id,
        path=report.path,
        rows=report.rows,
        bytes=report.bytes,
        ending=_ending(report.ending),
        code=report.code,
        reason=report.reason,
        remedy=report.remedy,
        due_in_s=max(0.0, report.not_before_s - now_s) if is_waiting else None,
        calls=report.calls,
        retries=report.retries,
        waited_s=report.waited_s,
        confirmations=report.confirmations,
        answers=tuple(Answer(code, times, _meaning(code)) for code, times in sorted(report.codes.items())),
        pages=tuple(ExplainedPage(**asdict(page)) for page in history.pages),
        counter_rows=history.counter_rows,
        verdict=report.verdict,
        is_doubted=report.is_doubted,
        broken_laws=history.broken_laws,
        next_step=f"{report.remedy or ''} {NEXT[report.state]}".strip(),
    )


def _why_carried(history: JobHistory, rules: RefreshRules) -> str:
    """Return why a set was not read: by its counter, by what the run was for, or by its campaign's age."""
    counter_rows = history.counter_rows
    if counter_rows is not None and counter_rows == history.counter_rows_then:
        return f"its counter says {counter_rows:,}, as it did before the set was read"
    if history.command is Command.BACKFILL:
        return "a backfill reads what was never read"
    every_days = rules.every_days(history.job)
    if every_days is None:
        return "its campaign is so old that its sets are frozen: harvester run reads them all the same"
    return f"not due: at its campaign's age it is looked at every {counted(every_days, 'day')}"


def _next_look(history: JobHistory, rules: RefreshRules) -> str | None:
    """Return the first date on which a nightly run looks at the set again; None if none does, or it was never read."""
    date = rules.next_look(history.job, history.snapshot) if history.snapshot else None
    return date.isoformat() if date else None


def _ending(ending: str | None) -> str | None:
    """Return how the end was proven, in words; an ending by a code is told with what the code means."""
    if ending is None or ending in ENDINGS:
        return ENDINGS.get(ending or "")
    code = ending.removeprefix("code ")
    return f"the answer {code}: {_meaning(code)}"


def _meaning(code: str) -> str:
    """Return what an answer says, by its code or by the short name that it is counted under."""
    if code in SUCCESS[Endpoint.RECIPIENTS]:
        return "a page"
    if code.startswith(HTTP):
        return f"HTTP status {code.removeprefix(HTTP)} without a code of the API"
    return WITHOUT_CODE.get(code) or meaning_of(code).text


def _iso(wall_s: float) -> str:
    return dt.datetime.fromtimestamp(wall_s, dt.UTC).isoformat(timespec="seconds")
