"""Why a partition is as it is: facts on a terminal, plain lines for a pipe, JSON for a machine; never a row."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TextIO

import orjson
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harvester.model import JobState
from harvester.report.figures import countdown, counted, duration, size
from harvester.report.printable import printable, printable_tree
from harvester.report.quiet import quiet

BAR_CHARS = 20
BAR = "█"

PAGE_LINES_MAX = 30
"""Lines on pages that a terminal shows; pages that are alike share one, so few jobs have more."""

Fact = tuple[str, Sequence[str]]
"""A label, and the lines that stand beside it."""


@dataclass(frozen=True, slots=True)
class ExplainedPage:
    """A page, or several in a row that are alike.

    Attributes:
        number: counts the job's pages from 1.
        from_index: of its first row in the set, from 1.
        received_rows: given by the server.
        rows: of these, written.
        duplicates: dropped, their contact being written already.
        unreadable_rows: in quarantine.
        is_shifted: whether the set moved before it in a way that could not be mended.
        pages: how many pages in a row these are.
    """

    number: int
    from_index: int
    received_rows: int
    rows: int
    duplicates: int
    unreadable_rows: int
    is_shifted: bool
    pages: int = 1

    @property
    def overlap_rows(self) -> int:
        """Rows that were asked for again, to see that nothing moved."""
        return self.received_rows - self.rows - self.duplicates - self.unreadable_rows


@dataclass(frozen=True, slots=True)
class Answer:
    """How often the server answered with a code, and what that means."""

    code: str
    times: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """One job, as the ledger knows it.

    Attributes:
        account: whose.
        date: the harvest date, ISO.
        campaign_key: of its campaign.
        parent_campaign_key: the A/B campaign that it is a test half of.
        action: its action.
        state: of `JobState`.
        because: why its set was read, or why it was carried and not read; None where nobody settled that.
        carried_from: the harvest date, ISO, on which its set was read instead; None if it was on its own.
        next_look: the first date, ISO, on which a nightly run looks at the set again; None if none will.
        finished_at: when its partition was published, ISO 8601; None if there is none.
        run_id: of the run that last took it up.
        path: of the partition, below the output folder.
        rows: in the partition.
        bytes: of the partition.
        ending: how the last page was proven last, in words; None while it is not.
        code: why it is not done: the API's code, or a short name.
        reason: the same in words, redacted.
        remedy: what a person can do about that.
        due_in_s: until the next attempt; None where none is waited for.
        calls: spent on it.
        retries: attempts that were put off.
        waited_s: how long the waits before them were.
        confirmations: calls that only proved the end.
        answers: by code.
        pages: in their order.
        counter_rows: how many rows the campaign's counters say.
        verdict: what that proves.
        is_doubted: whether it was harvested again for that.
        broken_laws: of the campaign: by law, how many contacts break it.
        next_step: what to do.
    """

    account: str
    date: str
    campaign_key: str
    parent_campaign_key: str | None
    action: str
    state: str
    because: str | None
    carried_from: str | None
    next_look: str | None
    finished_at: str | None
    run_id: str | None
    path: str | None
    rows: int | None
    bytes: int | None
    ending: str | None
    code: str | None
    reason: str | None
    remedy: str | None
    due_in_s: float | None
    calls: int
    retries: int
    waited_s: float
    confirmations: int
    answers: tuple[Answer, ...]
    pages: tuple[ExplainedPage, ...]
    counter_rows: int | None
    verdict: str | None
    is_doubted: bool
    broken_laws: Mapping[str, int]
    next_step: str


def write(stream: TextIO, explanations: Sequence[Explanation]) -> None:
    """Write the explanations to `stream`: drawn on a terminal, else a line for each fact; broken streams are left."""
    out = quiet(stream)
    if stream.isatty():
        Console(file=out, highlight=False).print(Group(*map(drawn, explanations)))
    else:
        out.writelines(f"{line}\n" for explanation in explanations for line in lines(explanation))


def to_json(explanations: Sequence[Explanation]) -> bytes:
    """Return one line of UTF-8 JSON with its newline: `jobs`, each with the names of the attributes as keys."""
    document = {"jobs": [asdict(explanation) for explanation in explanations]}
    return orjson.dumps(printable_tree(document), option=orjson.OPT_APPEND_NEWLINE)


def lines(explanation: Explanation) -> list[str]:
    """Return a heading and a line for each fact: its label, a tab, what it is."""
    facts = [(label, line) for label, texts in _facts(explanation) for line in texts]
    pages = [("page", page_line(page)) for page in alike(explanation.pages)]
    last = ("next", explanation.next_step)
    told = [f"{label}\t{printable(text)}" for label, text in (*facts, *pages, last)]
    return [f"# {printable(heading(explanation))}", *told]


def drawn(explanation: Explanation) -> RenderableType:
    """Return the facts as a picture for a terminal; each page has a bar as long as its rows."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, texts in _facts(explanation):
        grid.add_row(label, Text("\n".join(map(printable, texts))))
    if pages := alike(explanation.pages):
        grid.add_row("pages", _bars(pages))
    grid.add_row("next", Text(printable(explanation.next_step), style="bold"))
    return Group(Text(printable(heading(explanation)), style="bold"), grid, Text())


def heading(explanation: Explanation) -> str:
    """Return which job it is."""
    return f"{explanation.account} {explanation.date} {explanation.action} {explanation.campaign_key}"


def alike(pages: Sequence[ExplainedPage]) -> list[ExplainedPage]:
    """Return the pages with those in a row that are alike taken together: a giant job has 50,000."""
    groups: list[ExplainedPage] = []
    for page in pages:
        if groups and _kind(groups[-1]) == _kind(page) and not page.is_shifted:
            groups[-1] = replace(groups[-1], pages=groups[-1].pages + 1)
        else:
            groups.append(page)
    return groups


def page_line(page: ExplainedPage) -> str:
    """Return a page, or a row of them, in words."""
    rows = counted(page.received_rows, "row")
    text = f"{page.number:,}, from row {page.from_index:,}: {rows}"
    if page.pages > 1:
        last = page.number + page.pages - 1
        text = f"{page.number:,} to {last:,}, from row {page.from_index:,}: {rows} each"
    remarks = [
        f"{number:,} {remark}"
        for number, remark in (
            (page.overlap_rows, "known before"),
            (page.duplicates, "dropped as repeated"),
            (page.unreadable_rows, "in quarantine"),
        )
        if number
    ]
    return ", ".join([text, *remarks, *(["the set moved before it"] if page.is_shifted else [])])


def _kind(page: ExplainedPage) -> tuple[int, int, int, int]:
    return (page.received_rows, page.rows, page.duplicates, page.unreadable_rows)


def _bars(pages: Sequence[ExplainedPage]) -> Text:
    shown = pages[:PAGE_LINES_MAX]
    longest_rows = max(page.received_rows for page in shown) or 1
    bars = [BAR * max(1, round(BAR_CHARS * page.received_rows / longest_rows)) for page in shown]
    drawn_pages = [f"{bar:<{BAR_CHARS}} {page_line(page)}" for bar, page in zip(bars, shown, strict=True)]
    hidden = len(pages) - len(shown)
    return Text("\n".join([*drawn_pages, *([f"{hidden:,} more: pipe the output to see all"] if hidden else [])]))


def _facts(explanation: Explanation) -> list[Fact]:
    facts: list[Fact] = [
        ("state", [f"{explanation.state}: {_why(explanation)}"]),
        ("because", [explanation.because] if explanation.because else []),
        ("when", _when(explanation)),
        ("file", _file(explanation)),
        ("end", [f"proven by {explanation.ending}"] if explanation.ending else []),
        ("calls", [_calls(explanation)]),
        ("answers", [f"{each.times:,} x {each.code}: {each.meaning}" for each in explanation.answers]),
        ("rows", _rows(explanation)),
        ("counters", _counters(explanation)),
        ("laws", [f"{law}: broken by {counted(number, 'contact')}" for law, number in explanation.broken_laws.items()]),
    ]
    return [(label, texts) for label, texts in facts if texts]


def _why(explanation: Explanation) -> str:
    given = f"{explanation.code or ''} {explanation.reason or ''}".strip()
    match explanation.state:
        case JobState.DONE:
            return "its last page was proven last, and its partition is published"
        case JobState.CARRIED:
            return f"not asked for; its set stands as it was read on {explanation.carried_from}"
        case JobState.PARTIAL:
            return "published, but for rows that could not be read and lie in quarantine"
        case JobState.RUNNING:
            return "a run is at work on it, or was killed while it was"
        case JobState.PENDING:
            stored = f"{counted(len(explanation.pages), 'page')} stored"
            return f"it waits for its next attempt, {stored}: {given}" if given else f"not harvested yet, {stored}"
        case _:
            answered = f"; so it was answered on {explanation.carried_from}" if explanation.carried_from else ""
            return (given or "no reason was given") + answered


def _when(explanation: Explanation) -> list[str]:
    published = [f"published {explanation.finished_at}"] if explanation.finished_at else []
    run = [f"last taken up by run {explanation.run_id}"] if explanation.run_id else []
    look = [f"a nightly run looks at it again on {explanation.next_look}"] if explanation.next_look else []
    return [*published, *run, *look]


def _file(explanation: Explanation) -> list[str]:
    if explanation.path is None:
        return []
    amount = f"{counted(explanation.rows or 0, 'row')}, {size(explanation.bytes or 0)}"
    return [explanation.path, amount]


def _calls(explanation: Explanation) -> str:
    calls = counted(explanation.calls, "call")
    proofs = f", {explanation.confirmations:,} of them only to prove the end" if explanation.confirmations else ""
    waits = f" after {duration(explanation.waited_s)} of waiting" if explanation.retries else ""
    retries = f"; tried again {counted(explanation.retries, 'time')}{waits}" if explanation.retries else ""
    due = f"; the next attempt in {countdown(explanation.due_in_s)}" if explanation.due_in_s is not None else ""
    return f"{calls}{proofs}{retries}{due}"


def _rows(explanation: Explanation) -> list[str]:
    pages = explanation.pages
    remarks = (
        (sum(page.overlap_rows for page in pages), "asked for again, to see that nothing moved"),
        (sum(page.duplicates for page in pages), "dropped: their contact was written already"),
        (sum(page.unreadable_rows for page in pages), "could not be read and lie in quarantine"),
    )
    texts = [f"{counted(number, 'row')} {remark}" for number, remark in remarks if number]
    if any(page.is_shifted for page in pages):
        texts.append("the set moved while it was read, and this could not be mended: rows may be missing")
    return texts


def _counters(explanation: Explanation) -> list[str]:
    told = "" if explanation.counter_rows is None else f"the campaign's report counts {explanation.counter_rows:,}"
    verdict = f"{explanation.verdict}" if explanation.verdict else ""
    again = "harvested again for that, once" if explanation.is_doubted else ""
    return ["; ".join(filter(None, (verdict, told, again)))] if verdict or told or again else []
