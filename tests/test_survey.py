"""Looking campaigns over for a plan: real budget, a scripted endpoint of reports, a virtual clock."""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from factories import DATE, inline
from simulation.virtual_loop import VirtualLoop
from test_budget import CALLS, RULES
from test_counting import COUNTERS, REFUSED, Scripted, tools_on

from harvester.engine.budget import Budget
from harvester.engine.caller import Caller, Weather
from harvester.engine.counting import ReportDesk
from harvester.engine.estimate import Estimator, Intent
from harvester.engine.retry import Backoff
from harvester.engine.stop import Stop
from harvester.engine.survey import Survey
from harvester.errors import CredentialsError, StoppedError
from harvester.events import LockoutOpened
from harvester.history import Habits, KnownCampaign, Typical
from harvester.model import Action, Campaign, Failure, FailureKind
from harvester.store.calls import CallBook, Window
from harvester.store.database import Database
from harvester.store.ledger import Ledger

HABITS = Habits(longest_page_rows=500, typical={Action.SENT: Typical(rows=2_000.0, calls=5.0, calls_max=9)})
LOCKED = Failure(FailureKind.LOCKED, "locked", code="throttled")


def surveyed(
    path: Path, server: Scripted | None, keys: Sequence[str], known: KnownCampaign | None = None
) -> tuple[Survey, Estimator]:
    """Look campaigns over, all at once; without a server no counters are asked for."""
    with closing(Database(path / "ledger.sqlite")) as database, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        stop = Stop()
        tools = tools_on(path, database, Ledger(database, "run-1"), lambda _: None, stop)

        def watch(event: object) -> None:
            if isinstance(event, LockoutOpened):
                stop.ask(f"{event.endpoint} is locked")

        tools = replace(tools, emit=watch)
        calls = CallBook(database, Window("acme", "endpoint", 400.0), tools.clock)
        estimator = Estimator(Intent("acme", DATE, [Action.SENT], None, 500), HABITS)

        async def survey() -> Survey:
            budget, backoff = Budget(RULES, calls, tools.clock, inline, tools.emit, stop), Backoff()
            weather = Weather("acme", 600.0, backoff, tools.clock, tools.rng, tools.emit)
            desk = None if server is None else ReportDesk(Caller(budget, weather, stop), server, backoff, tools)
            whole = Survey(estimator, lambda _: known or KnownCampaign(), desk, inline)
            await whole.take([(Campaign(key), "") for key in keys])
            return whole

        return runner.run(survey()), estimator


def test_each_campaign_that_is_due_is_asked_about_once(tmp_path: Path) -> None:
    """On the reports' own budget: more campaigns than a window has calls take another one."""
    server = Scripted()
    keys = [f"k{number}" for number in range(CALLS + 2)]

    survey, estimator = surveyed(tmp_path, server, keys)

    assert sorted(server.asked) == sorted(keys)
    assert (survey.counted, survey.missing, survey.trouble) == (len(keys), 0, "")
    assert estimator.estimate.rows == COUNTERS.rows[Action.SENT] * len(keys)


def test_counters_that_the_date_knows_are_not_asked_for(tmp_path: Path) -> None:
    """A run that goes on would not ask either."""
    server = Scripted()

    survey, _ = surveyed(tmp_path, server, ["k0"], KnownCampaign(is_counted=True))

    assert (server.asked, survey.counted, survey.missing) == ([], 0, 0)


def test_a_campaign_that_the_reports_refuse_costs_one_call(tmp_path: Path) -> None:
    """What may not be counted may not be read; the others are asked about all the same."""
    survey, estimator = surveyed(tmp_path, Scripted({"k1": [REFUSED]}), ["k0", "k1", "k2"])

    assert (survey.counted, survey.missing) == (2, 1)
    assert survey.trouble == REFUSED.message
    assert [each.calls for each in estimator.estimate.largest] == [1, 1, 1]


@pytest.mark.parametrize(
    "trouble",
    [LOCKED, StoppedError("no server."), CredentialsError("revoked."), None],
    ids=["locked", "net", "who", "off"],
)
def test_without_counters_campaigns_are_priced_by_history(tmp_path: Path, trouble: Failure | Exception | None) -> None:
    """A lockout, an outage or a refusal of the reports ends the asking, and is told; no plan is lost for it."""
    server = None if trouble is None else Scripted(default=trouble)

    survey, estimator = surveyed(tmp_path, server, [f"k{number}" for number in range(9)])

    assert (survey.counted, survey.missing) == (0, 9)
    assert survey.trouble
    assert estimator.total.likely == 9 * 5.0
    assert server is None or len(server.asked) <= 4
