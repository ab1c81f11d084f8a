"""After a boot the stored moments mean nothing: they are taken anew, once, before anybody reads them."""

from harvester.clock import Clock
from harvester.store.database import Database

UNTIL_WALL_MAX_S = 86_400.0
"""After a boot only the wall clock tells what is left of a lockout; it may have jumped: a day is the most believed."""


def adopt_boot(database: Database, clock: Clock) -> bool:
    """Note which boot moments are counted from, and restate them if it is another than before.

    Every call is taken as just seen, or as just sent where its outcome is not known; every lockout as what the wall
    clock says is left of it; every postponed job as due; and nobody waits for a slot any more. That is too late for the
    calls, never too early.

    Where a system tells no boot id, a call that started in the future betrays the boot.

    Returns:
        Whether the machine was booted since the ledger was last used.
    """
    now_s, wall_s = clock.now_s(), clock.wall_s()
    with database.writing(database.durable) as connection:
        row = connection.execute("SELECT boot_id FROM boots").fetchone()
        is_ahead = connection.execute("SELECT 1 FROM calls WHERE started_s > ?", (now_s,)).fetchone()
        if row is not None and row["boot_id"] == clock.boot_id and not is_ahead:
            return False
        connection.execute("DELETE FROM boots")
        connection.execute("INSERT INTO boots VALUES (?)", (clock.boot_id,))
        connection.execute("UPDATE jobs SET not_before_s = 0 WHERE not_before_s > 0")
        connection.execute("DELETE FROM demands")
        connection.execute(
            "UPDATE calls SET stamp_s = ? + iif(is_out, stamp_s - started_s, 0), started_s = ?, asleep_s = ?",
            (now_s, now_s, clock.asleep_s()),
        )
        connection.execute(
            "UPDATE lockouts SET until_s = ? + min(max(until_wall_s - ?, 0), ?), probe_until_s = 0",
            (now_s, wall_s, UNTIL_WALL_MAX_S),
        )
        return row is not None
