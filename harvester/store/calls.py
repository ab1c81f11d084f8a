"""The calls of the recent past and the lockouts, shared by all processes of a state folder.

A call is written down before its bytes leave, with the *stamp* of a call given up; its outcome moves the stamp to the
moment of seeing. So a process that dies leaves stamps that are too late, never too early, and nobody has to clean up.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harvester.clock import Clock
from harvester.model import Lease, Lockout, LockoutPhase
from harvester.store.database import Database

KEPT_MEMORIES = 2.0
"""Stamps are kept for twice as long as the budget needs them, as the flight recorder of a lockout."""

PRUNE_EVERY_CALLS = 200
"""How often old calls are deleted: rarely enough to cost nothing, often enough to keep the table small."""

Rule = Callable[[Sequence[float], float], float]
"""From the stamps, ascending, and the present: the earliest moment for one more call."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whose calls are counted together, and how long a stamp matters, in seconds."""

    account: str
    endpoint: str
    memory_s: float


class CallBook:
    """Leases and outcomes of one account and endpoint."""

    def __init__(self, database: Database, window: Window, clock: Clock) -> None:
        self._database = database
        self._connection = database.brief
        self._window = window
        self._clock = clock
        self._stamps: list[float] = []
        self._last_id = 0

    def adopt_boot(self) -> None:
        """Take every call as just seen and every lockout as at most what was left of it: stored moments mean nothing.

        To be called once, when the machine was booted since the file was last used.
        """
        now_s, wall_s = self._clock.now_s(), self._clock.wall_s()
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "UPDATE calls SET started_s = ?, stamp_s = ?, is_out = 0 WHERE account = ? AND endpoint = ?",
                (now_s, now_s, self._window.account, self._window.endpoint),
            )
            connection.execute(
                "UPDATE lockouts SET until_s = ? + min(max(until_wall_s - ?, 0), 86400)"
                " WHERE account = ? AND endpoint = ?",
                (now_s, wall_s, self._window.account, self._window.endpoint),
            )

    def lease(self, job_id: int | None, hold_s: float, rule: Rule) -> Lease | float:
        """Write a call down as started now, if the rule allows it.

        Args:
            job_id: the job that pays for it, if any.
            hold_s: how long a call given up may still reach the server, in seconds from now.
            rule: names the earliest moment for one more call.

        Returns:
            The lease; or the moment at which to ask again.
        """
        with self._database.writing(self._connection) as connection:
            now_s = self._clock.now_s()
            self._read_new(now_s)
            earliest_s = rule(self._stamps, now_s)
            if earliest_s > now_s:
                self._read_all(now_s)  # another process may have settled a call since
                earliest_s = rule(self._stamps, now_s)
            if earliest_s > now_s:
                return earliest_s
            stamp_s = now_s + hold_s
            lease_id = connection.execute(
                "INSERT INTO calls (account, endpoint, started_s, stamp_s) VALUES (?, ?, ?, ?) RETURNING id",
                (self._window.account, self._window.endpoint, now_s, stamp_s),
            ).fetchone()["id"]
            if job_id is not None:
                connection.execute("UPDATE jobs SET calls = calls + 1 WHERE id = ?", (job_id,))
            if lease_id % PRUNE_EVERY_CALLS == 0:
                self._prune(now_s)
        insort(self._stamps, stamp_s)
        self._last_id = lease_id
        return Lease(lease_id, job_id, stamp_s)

    def settle(self, lease: Lease, code: str, *, is_seen: bool) -> None:
        """Note how a call ended.

        Args:
            lease: of the call.
            code: under which the job counts it.
            is_seen: whether an answer came, so that the server has counted the call by now; if not, the lease goes on
                to weigh as that of a call given up.
        """
        now_s = self._clock.now_s()
        with self._database.writing(self._connection) as connection:
            if is_seen:
                connection.execute("UPDATE calls SET stamp_s = ?, is_out = 0 WHERE id = ?", (now_s, lease.id))
            if lease.job_id is not None:
                path = f'$."{code}"'
                connection.execute(
                    "UPDATE jobs SET codes = json_set(codes, ?, ifnull(json_extract(codes, ?), 0) + 1) WHERE id = ?",
                    (path, path, lease.job_id),
                )
        if is_seen:
            self._forget(lease.stamp_s)
            insort(self._stamps, now_s)

    def cancel(self, lease: Lease) -> None:
        """Take a lease back: it is certain that no byte left."""
        with self._database.writing(self._connection) as connection:
            connection.execute("DELETE FROM calls WHERE id = ?", (lease.id,))
            if lease.job_id is not None:
                connection.execute("UPDATE jobs SET calls = calls - 1 WHERE id = ?", (lease.job_id,))
        self._forget(lease.stamp_s)

    def stamps(self) -> list[float]:
        """Return the stamps that still matter, ascending, as the file has them now."""
        self._read_all(self._clock.now_s())
        return list(self._stamps)

    def lockout(self) -> Lockout:
        """Return the lockout as stored."""
        row = self._connection.execute(
            "SELECT phase, until_s, level FROM lockouts WHERE account = ? AND endpoint = ?",
            (self._window.account, self._window.endpoint),
        ).fetchone()
        return Lockout(LockoutPhase(row[0]), row[1], row[2]) if row else Lockout()

    def store_lockout(self, lockout: Lockout) -> None:
        """Write the lockout down; to be called before anybody acts on it."""
        until_wall_s = self._clock.wall_s() + lockout.until_s - self._clock.now_s()
        with self._database.writing(self._database.durable) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO lockouts VALUES (?, ?, ?, ?, ?, ?)",
                (self._window.account, self._window.endpoint, lockout.phase, lockout.until_s, until_wall_s,
                 lockout.level),
            )  # fmt: skip

    def _read_new(self, now_s: float) -> None:
        """Read the calls that other processes have started since; drop what no longer matters."""
        rows = self._connection.execute(
            "SELECT id, stamp_s FROM calls WHERE id > ? AND account = ? AND endpoint = ?",
            (self._last_id, self._window.account, self._window.endpoint),
        ).fetchall()
        for row in rows:
            insort(self._stamps, row["stamp_s"])
            self._last_id = max(self._last_id, row["id"])
        del self._stamps[: bisect_right(self._stamps, now_s - self._window.memory_s)]

    def _read_all(self, now_s: float) -> None:
        rows = self._connection.execute(
            "SELECT id, stamp_s FROM calls WHERE account = ? AND endpoint = ? AND stamp_s > ? ORDER BY stamp_s",
            (self._window.account, self._window.endpoint, now_s - self._window.memory_s),
        ).fetchall()
        self._stamps = [row["stamp_s"] for row in rows]
        self._last_id = max([self._last_id, *(row["id"] for row in rows)])

    def _forget(self, stamp_s: float) -> None:
        index = bisect_left(self._stamps, stamp_s)
        if index < len(self._stamps) and self._stamps[index] == stamp_s:
            del self._stamps[index]

    def _prune(self, now_s: float) -> None:
        self._connection.execute(
            "DELETE FROM calls WHERE account = ? AND endpoint = ? AND stamp_s <= ?",
            (self._window.account, self._window.endpoint, now_s - KEPT_MEMORIES * self._window.memory_s),
        )
