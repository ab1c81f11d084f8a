"""What an examination came to: a line for each finding, a table on a terminal, JSON for machines, and a last line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harvester.findings import Finding, Verdict, exit_code
from harvester.report.figures import counted
from harvester.report.printable import printable, printable_tree
from harvester.report.quiet import quiet

MARKS: Mapping[Verdict, str] = {
    Verdict.OK: "ok",
    Verdict.WARNING: "warn",
    Verdict.PROBLEM: "FAIL",
    Verdict.UNKNOWN: "?",
}
COLOURS: Mapping[Verdict, str] = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.PROBLEM: "bold red",
    Verdict.UNKNOWN: "dim",
}
MARK_CHARS = 4
MACHINE = "machine"
"""Stands where a finding is of no account."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A whole examination: the findings, and how many calls were made for each account."""

    findings: Sequence[Finding]
    calls: Mapping[str, int]

    @property
    def exit_code(self) -> int:
        """What the process ends with."""
        return exit_code(self.findings)


def write(stream: TextIO, diagnosis: Diagnosis) -> None:
    """Write the findings to `stream`: a table on a terminal, else `lines`; a stream that breaks is left."""
    out = quiet(stream)
    if stream.isatty():
        Console(file=out).print(table(diagnosis.findings))
    else:
        out.writelines(f"{line}\n" for line in lines(diagnosis.findings))


def lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding: a mark, whose, what was looked at and seen, and what to do."""
    return [
        printable(f"{MARKS[each.verdict]:<{MARK_CHARS}} {each.account or MACHINE}: {each.check}: {_text(each)}")
        for each in findings
    ]


def table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a rich table."""
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("", "account", "check", "seen, and what to do"):
        drawn.add_column(column, overflow="fold")
    for each in findings:
        mark = Text(MARKS[each.verdict], style=COLOURS[each.verdict])
        drawn.add_row(mark, *(Text(printable(text)) for text in (each.account or MACHINE, each.check, _text(each))))
    return drawn


def last_line(diagnosis: Diagnosis) -> str:
    """Return what it came to, and the calls that it took."""
    verdicts = Counter(finding.verdict for finding in diagnosis.findings)
    words = {Verdict.PROBLEM: "problem", Verdict.WARNING: "warning"}
    told = [counted(verdicts[verdict], word) for verdict, word in words.items() if verdicts[verdict]]
    unseen = f", {counted(verdicts[Verdict.UNKNOWN], 'check')} without an answer" if verdicts[Verdict.UNKNOWN] else ""
    calls = counted(sum(diagnosis.calls.values()), "call")
    return f"{', '.join(told) or 'nothing is wrong'}{unseen}; {calls} made"


def to_json(diagnosis: Diagnosis) -> bytes:
    """Return it all as one line of UTF-8 JSON with its newline; `trouble` is told by the exit code it leads to."""
    findings = []
    for each in diagnosis.findings:
        fields = asdict(each)
        trouble = fields.pop("trouble")
        findings.append(fields | {"exit_code": 0 if trouble is None else trouble.exit_code})
    document = {"exit_code": diagnosis.exit_code, "calls": dict(diagnosis.calls), "findings": findings}
    return orjson.dumps(printable_tree(document), option=orjson.OPT_APPEND_NEWLINE)


def _text(finding: Finding) -> str:
    return f"{finding.seen}. {finding.cure}" if finding.cure else finding.seen
