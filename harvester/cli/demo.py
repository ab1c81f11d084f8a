"""`harvester demo`: see the whole thing work, without an account, in under a minute."""

import gzip
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import click
import orjson
from rich.console import Console
from rich.table import Table

from harvester.config import load
from harvester.errors import ConfigError, StoppedError
from harvester.model import Action
from harvester.operations.resuming import program
from harvester.operations.selection import keys_of, select
from harvester.operations.session import Manner, run
from harvester.report.summary import sentences

TIME_SCALE = 50
"""The documented 500 calls per 5 minutes become 500 per 6 seconds: the waits are real, but short."""

SIMULATOR = (
    "--port", "0", "--campaigns", "60", "--recipients-max", "12000", "--drafts", "0.1", "--seed", "7",
    "--time-scale", str(TIME_SCALE), "--latency-s", "0.03", "--jitter-s", "0.1",
)  # fmt: skip
MARK = ".harvester-demo"
STOP_WAIT_S = 5.0
REFEREE_WAIT_S = 5.0

CONFIG = """\
# Made by `harvester demo`. The simulator takes any credentials; its clock runs {scale} times faster than ours.
output = "data"
state = "state"

[accounts.demo]
client_id = "1000.DEMO"
client_secret = "any"
refresh_token = "any"
base_url = "{url}"
accounts_url = "{url}"

[budget]
period_s = {period_s:g}
lock_s = {lock_s:g}
burst_per_s = 1000

[harvest]
call_timeout_s = 5
late_grace_s = 2
"""


@click.command(name="demo")
@click.option("--folder", type=click.Path(path_type=Path), default="demo", show_default=True, help="Where it all goes.")
def command(folder: Path) -> int:
    """Start the simulator on loopback, harvest all of it over real HTTP, and show what came out."""
    _make_room(folder)
    with _simulator() as url:
        click.echo(
            f"A simulated Zoho Campaigns answers at {url}: 500 calls per {300 / TIME_SCALE:g} s, or a lock.", err=True
        )
        config = folder / "config.toml"
        config.write_text(CONFIG.format(url=url, scale=TIME_SCALE, period_s=300 / TIME_SCALE, lock_s=1800 / TIME_SCALE))
        settings = load(config)
        summary = run(settings, select(settings, keys_of(settings, (), None)), Manner("make demo"))
        verdict = _referee(url)
    _show(Path(os.path.relpath(settings.output / "recipients")), verdict)
    for line in sentences(summary):
        click.echo(line, err=True)
    return summary.exit_code


def _make_room(folder: Path) -> None:
    """Begin with an empty folder; only one that an earlier demo made is cleared."""
    if folder.exists() and not (folder / MARK).exists():
        raise ConfigError(f"{folder} exists and was not made by the demo.", "Name another one with --folder.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


@contextmanager
def _simulator() -> Iterator[str]:
    """Run `harvester simulate` as a process of its own and yield its address."""
    argv = [sys.executable, "-m", "harvester", "simulate", *SIMULATOR]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  our own program
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("listening on "):
                raise StoppedError("The simulator did not start.", "Try harvester simulate by itself.")
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            process.wait(STOP_WAIT_S)


def _referee(url: str) -> str:
    """Return what the server saw, in one sentence."""
    with urlopen(f"{url}/_referee", timeout=REFEREE_WAIT_S) as answer:  # noqa: S310  loopback
        report = orjson.loads(answer.read())
    calls = next(iter(report["accounts"].values()))["getcampaignrecipientsdata"]
    totals = report["totals"]
    return (
        f"What the server saw: {calls['calls']} calls, at most {calls['worst_calls']['sliding']} in any window of 500,"
        f" {totals['lockouts']} lockouts, {totals['calls_wasted']} calls wasted."
    )


def _show(recipients: Path, verdict: str) -> None:
    """Show what lies on disk, action by action, and how to look at it."""
    files: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for path in recipients.rglob("*.jsonl.gz"):
        action = path.parent.name.removeprefix("action=")
        files[action] += 1
        with gzip.open(path) as lines:
            rows[action] += sum(1 for _ in lines)
    table = Table("action", title="Harvested", title_justify="left")
    table.add_column("partitions", justify="right")
    table.add_column("rows", justify="right")
    for action in Action:
        table.add_row(action, f"{files[action]:,}", f"{rows[action]:,}")
    table.add_section()
    table.add_row("all", f"{files.total():,}", f"{rows.total():,}")
    console = Console()
    console.print(table)
    click.echo(verdict)
    sample = next(iter(sorted(recipients.rglob("action=clickedcontacts/*.jsonl.gz"))), None)
    if sample is not None:
        folder = sample.parent.parent
        console.print("Look at it:", style="bold")
        for look in (f"zcat {sample} | head -1 | python3 -m json.tool", f"head -c 600 {folder / '_manifest.json'}"):
            click.echo(f"  {look}")
        click.echo(f"  {program()} status --config {recipients.parent.parent / 'config.toml'}")
