"""What all commands that harvest do with what they are asked."""

import datetime as dt
import sys

from harvester.cli.flags import How
from harvester.cli.plan import Showing, plan_and_show
from harvester.clock import SystemClock
from harvester.operations.limits import limits_of
from harvester.operations.resuming import resume_command
from harvester.operations.selection import Selection
from harvester.operations.session import Manner, run
from harvester.operations.workshop import OnLockout
from harvester.report.quiet import quiet
from harvester.report.summary import sentences, to_json
from harvester.settings import Settings


def carry_out(settings: Settings, selection: Selection, how: How) -> int:
    """Harvest what is selected, or only say what that would cost; return the exit code."""
    if selection.date > dt.datetime.now(dt.UTC).date():
        quiet(sys.stderr).write(f"{selection.date} has not come yet: the files have its name and hold today's rows\n")
    limits = limits_of(how["max_calls"], how["deadline"], SystemClock())
    if how["is_dry"]:
        return plan_and_show(settings, selection, Showing(is_json=how["is_json"], deadline=limits.deadline))
    manner = Manner(resume_command(selection.date), OnLockout(how["on_lockout"]), how["is_verbose"], limits)
    summary = run(settings, selection, manner)
    quiet(sys.stderr).writelines(f"{line}\n" for line in sentences(summary))
    if how["is_json"]:
        quiet(sys.stdout).write(to_json(summary).decode())
    return summary.exit_code
