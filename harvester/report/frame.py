"""One picture of a run, drawn from the tally alone (pure): what `live` shows several times a second."""

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harvester.report.figures import clock_time, countdown, counted, duration, percent, size
from harvester.report.printable import printable
from harvester.report.tally import AccountTally, Tally

FRAME_COLUMNS_MAX = 100
"""Wider than this the eye loses the line between a label and its figure."""

ACCOUNTS_SHOWN_MAX = 4
"""Accounts drawn in full: 4 panels of 6 lines and the notices fit a terminal of 32 lines; the rest is one line."""

_NOTE_COLUMNS = 37
"""Room beside a bar for `LOCKED until 14:05 UTC (29 min 59 s)`; fixed, so that the bars do not twitch."""


def frame(tally: Tally, now_s: float, width: int) -> RenderableType:
    """Draw the run at the moment `now_s` (the clock of `Tally.fold`) for a terminal of `width` columns."""
    accounts = sorted(tally.accounts, key=lambda account: account.finished_s is not None)
    shown, rest = accounts[:ACCOUNTS_SHOWN_MAX], accounts[ACCOUNTS_SHOWN_MAX:]
    columns = min(width, FRAME_COLUMNS_MAX)
    parts: list[RenderableType] = [_panel(tally, account, now_s, columns) for account in shown]
    if not parts:
        parts.append(Text("starting", style="dim"))
    if rest:
        parts.append(Text(_rest(tally, rest), style="dim"))
    parts.extend(Text(f"! {notice}", style="yellow", overflow="fold") for notice in tally.attention)
    return Group(*parts)


def _rest(tally: Tally, rest: list[AccountTally]) -> str:
    total = tally.total
    more = counted(len(rest), "more account")
    return f"+ {more}; in all {total.closed:,} of {total.jobs:,} jobs, {counted(total.rows, 'row')}"


def _panel(tally: Tally, account: AccountTally, now_s: float, columns: int) -> Panel:
    bars = Table.grid(padding=(0, 2, 0, 0), expand=True)
    bars.add_column(width=5, no_wrap=True)
    bars.add_column(ratio=1)
    bars.add_column(width=min(_NOTE_COLUMNS, columns // 2), no_wrap=True, overflow="ellipsis")
    bars.add_row(Text("jobs", style="dim"), _jobs_bar(account), _jobs_note(account))
    bars.add_row(Text("calls", style="dim"), _calls_bar(tally, account), _calls_note(tally, account, now_s))
    lines = [_facts(account), _times(tally, account, now_s)]
    title = " · ".join(part for part in (account.account, account.date) if part)
    return Panel(
        Group(bars, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)),
        title=Text(f" {printable(title)} ", style="bold"),
        title_align="left",
        border_style=_mood(account),
        box=box.ROUNDED,
        width=columns,
    )


def _mood(account: AccountTally) -> str:
    if account.locked_until_s is not None or account.outage is not None:
        return "red"
    if account.finished_s is not None and account.counts.closed == account.counts.jobs:
        return "yellow" if account.counts.failed or account.counts.partial else "green"
    return "bright_black"


def _jobs_bar(account: AccountTally) -> ProgressBar:
    counts = account.counts
    # Nothing to do is complete once the plan says so; before that it is nothing yet.
    total = max(counts.jobs, counts.closed, 1)
    is_empty = account.started_s is not None and counts.jobs == 0
    return ProgressBar(total=total, completed=total if is_empty else counts.closed, complete_style="cyan")


def _jobs_note(account: AccountTally) -> Text:
    counts = account.counts
    if account.started_s is None and account.finished_s is None:
        return Text(f"planning, {counted(counts.campaigns, 'campaign')} so far")
    note = Text(f"{counts.closed:,} of {counts.jobs:,}  {percent(counts.closed, counts.jobs)}")
    if counts.failed:
        note.append(f"  {counts.failed:,} failed", style="yellow")
    if counts.partial:
        note.append(f"  {counts.partial:,} partial", style="yellow")
    return note


def _calls_bar(tally: Tally, account: AccountTally) -> ProgressBar:
    free = tally.calls if account.free_calls is None else account.free_calls
    style = "red" if account.locked_until_s is not None else "green"
    return ProgressBar(total=tally.calls, completed=max(0, free), complete_style=style, finished_style=style)


def _calls_note(tally: Tally, account: AccountTally, now_s: float) -> Text:
    locked_s = account.locked_s(now_s)
    if locked_s == 0:
        return Text("LOCKED, trying one call", style="bold red")
    if locked_s is not None:
        until = printable(clock_time(account.locked_until))
        return Text(f"LOCKED until {until} ({countdown(locked_s)})", style="bold red")
    if account.outage is not None:
        return Text("no server answers, trying", style="red")
    held_s = account.held_s(now_s)
    if held_s > 0 and account.finished_s is None:
        return Text(f"next call in {countdown(held_s)}", style="yellow")
    free = tally.calls if account.free_calls is None else account.free_calls
    return Text(f"{free:,} of {tally.calls:,} free")


def _facts(account: AccountTally) -> str:
    counts = account.counts
    facts = [counted(counts.rows, "row"), size(counts.bytes), f"{counted(counts.calls, 'call')} made"]
    if account.in_hand:
        facts.append(f"{counted(len(account.in_hand), 'job')} in hand")
    if account.proof:
        facts.append(account.proof)
    return " · ".join(facts)


def _times(tally: Tally, account: AccountTally, now_s: float) -> str:
    elapsed_s = account.elapsed_s(now_s)
    if account.publish_files is not None:
        return f"published {account.published_files:,} of {counted(account.publish_files, 'file')}"
    if account.finished_s is not None:
        return f"ended after {duration(elapsed_s)}" if elapsed_s is not None else "ended"
    if elapsed_s is None:
        return "not started"
    if account.is_draining:
        return f"{duration(elapsed_s)} so far · stopping"
    eta_s = tally.account_eta_s(account, now_s)
    left = "time left not yet known" if eta_s is None else f"about {duration(eta_s)} left"
    return f"{duration(elapsed_s)} so far · {left}"
