"""The calls of the recent past and the lockouts, shared by all processes of a state folder.

A call is written down before its bytes leave, with the *stamp* of a call given up; its outcome moves the stamp to the
moment of seeing. So a process that dies leaves stamps that are too late, never too early, and nobody has to clean up.

Every decision is made on what the file holds, inside the transaction that writes it down: processes share one budget
and one lockout without knowing of each other.
"""

import sqlite3
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass

from harvester.clock import Clock
from harvester.leases import Lease, Lockout, LockoutPhase, LockoutRecord, Slot, Standing
from harvester.model import Command
from harvester.store.database import Database

KEPT_MEMORIES = 2.0
"""Calls are kept twice as long as the budget needs them: whoever looks into the file after a lockout finds them."""

PRUNE_EVERY_CALLS = 200
"""How often old calls are deleted: rarely enough to cost nothing, often enough to keep the table small."""

SLEEP_MIN_S = 0.05
"""The two clocks that tell the time asleep are read one after the other; less than this is no sleep."""

LOCKOUT_RECORDS_MAX = 100
"""Lockouts remembered for each account and endpoint: years of a healthy account, days of a sick one."""

Rule = Callable[[Standing], Slot]
"""From the present: when the next call may start, and the lockout as that leaves it."""

Turn = Callable[[Standing], Lockout]
"""From the present, without the call that just ended: the lockout as its end leaves it."""


@dataclass(frozen=True, slots=True)
class Window:
    """Whose calls are counted together, and how long a stamp matters, in seconds."""

    account: str
    endpoint: str
    memory_s: float

    @property
    def key(self) -> tuple[str, str]:
        """The columns that select its rows."""
        return self.account, self.endpoint


class CallBook:
    """Leases, outcomes and the lockout of one account and endpoint.

    Args:
        database: the ledger, open.
        window: whose calls.
        clock: the time.
        command: for which the calls are made.
    """

    def __init__(self, database: Database, window: Window, clock: Clock, command: Command = Command.RUN) -> None:
        self._database = database
        self._connection = database.brief
        self._window = window
        self._clock = clock
        self._command = command
        self._stamps: list[float] = []
        self._asleep_s = clock.asleep_s()
        self._own_out: set[int] = set()
        self._unsure_until_s = 0.0  # until when a stamp matters that another process may have moved meanwhile
        self._last_id = 0

    def lease(self, job_id: int | None, hold_s: float, rule: Rule) -> Lease | float:
        """Write a call down as started now, if the rule allows it.

        Args:
            job_id: the job that pays for it, if any.
            hold_s: how long a call given up may still reach the server, in seconds from now.
            rule: names the earliest moment for one more call.

        Returns:
            The lease; or the moment at which to ask again.
        """
        with self._database.writing(self._connection):
            self._notice_sleep()
            self._read_new()
            standing = self._standing()
            slot = rule(standing)
            if slot.start_s > standing.now_s and standing.now_s < self._unsure_until_s:
                self._read_all()
                standing = self._standing()
                slot = rule(standing)
            self._store_lockout(slot.lockout, standing)
            self._store_demand(slot.demand_until_s, standing)
            if slot.start_s > standing.now_s:
                return slot.start_s
            return self._write_down(job_id, standing.now_s, standing.now_s + hold_s, is_probe=slot.is_probe)

    def settle(self, lease: Lease, code: str, turn: Turn, late_s: float | None = None) -> Lockout:
        """Note how a call ended.

        Args:
            lease: of the call.
            code: under which the job counts it.
            turn: the lockout as this end leaves it.
            late_s: None if an answer came, so that the server has counted the call by now; else how much later than
                now it may still arrive, in seconds: it goes on to weigh as a call given up.

        Returns:
            The lockout, written down.
        """
        with self._database.writing(self._connection) as connection:
            now_s = self._clock.now_s()
            stamp_s = now_s if late_s is None else max(lease.stamp_s, now_s + late_s)
            if stamp_s > lease.stamp_s:
                self._write_anew(lease, stamp_s)
            else:
                connection.execute(
                    "UPDATE calls SET stamp_s = ?, is_out = ? WHERE id = ?", (stamp_s, late_s is not None, lease.id)
                )
            if lease.job_id is not None:
                path = f'$."{code}"'
                connection.execute(
                    "UPDATE jobs SET codes = json_set(codes, ?, ifnull(json_extract(codes, ?), 0) + 1) WHERE id = ?",
                    (path, path, lease.job_id),
                )
            self._restamp(lease, stamp_s)
            return self._turned(turn)

    def cancel(self, lease: Lease, turn: Turn | None = None) -> Lockout:
        """Take a lease back: it is certain that no byte left. `turn` as in `settle`; None leaves the lockout alone."""
        with self._database.writing(self._connection) as connection:
            connection.execute("DELETE FROM calls WHERE id = ?", (lease.id,))
            if lease.job_id is not None:
                connection.execute("UPDATE jobs SET calls = calls - 1 WHERE id = ?", (lease.job_id,))
            self._restamp(lease, None)
            return self._turned(turn or (lambda standing: standing.lockout))

    def release_demand(self) -> None:
        """Let others know that nobody of this command waits for a slot any more."""
        with self._database.writing(self._connection):
            self._store_demand(0.0, self._standing())

    def record(self, record: LockoutRecord) -> None:
        """Keep what was known when the endpoint locked: it tells whether somebody else uses the account."""
        with self._database.writing(self._database.durable) as connection:
            connection.execute(
                "INSERT INTO lockout_records VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*self._window.key, record.seen_wall_s, record.until_wall_s, record.level, record.code,
                 record.message, record.calls_in_window),
            )  # fmt: skip
            connection.execute(
                "DELETE FROM lockout_records WHERE account = ? AND endpoint = ? AND id NOT IN (SELECT id FROM"
                " lockout_records WHERE account = ? AND endpoint = ? ORDER BY id DESC LIMIT ?)",
                (*self._window.key, *self._window.key, LOCKOUT_RECORDS_MAX),
            )

    def records(self, limit: int) -> list[LockoutRecord]:
        """Return the last lockouts, newest first."""
        rows = self._connection.execute(
            "SELECT seen_wall_s, until_wall_s, level, code, message, calls_in_window FROM lockout_records"
            " WHERE account = ? AND endpoint = ? ORDER BY id DESC LIMIT ?",
            (*self._window.key, limit),
        ).fetchall()
        return [LockoutRecord(*row) for row in rows]

    def standing(self) -> Standing:
        """Return the present, as the file has it."""
        self._read_all()
        return self._standing()

    def _standing(self) -> Standing:
        now_s = self._clock.now_s()
        lockout = self._lockout()
        last_start_s, calls_out = (0.0, 0) if lockout.phase is LockoutPhase.CLOSED else self._under_way(now_s)
        demand_until_s, rival_until_s = self._demands()
        side_stamps = self._side_stamps(now_s) if rival_until_s > now_s else ()
        stamps = tuple(self._stamps)
        return Standing(now_s, stamps, lockout, last_start_s, calls_out, demand_until_s, rival_until_s, side_stamps)

    def _under_way(self, now_s: float) -> tuple[float, int]:
        row = self._connection.execute(
            "SELECT max(started_s) AS last_start_s, total(is_out AND stamp_s > ?) AS calls_out FROM calls"
            " WHERE account = ? AND endpoint = ?",
            (now_s, *self._window.key),
        ).fetchone()
        return row["last_start_s"] or 0.0, int(row["calls_out"])

    def _demands(self) -> tuple[float, float]:
        """Return until when this command waits for a slot, and until when the other side does."""
        own_until_s = rival_until_s = 0.0
        is_backfill = self._command is Command.BACKFILL
        for command, until_s in self._connection.execute(
            "SELECT command, until_s FROM demands WHERE account = ? AND endpoint = ?", self._window.key
        ):
            if command == self._command:
                own_until_s = until_s
            elif is_backfill is not (command == Command.BACKFILL):
                rival_until_s = max(rival_until_s, until_s)
        return own_until_s, rival_until_s

    def _side_stamps(self, now_s: float) -> tuple[float, ...]:
        rows = self._connection.execute(
            "SELECT stamp_s FROM calls WHERE account = ? AND endpoint = ? AND stamp_s > ? AND (command = ?) = ?"
            " ORDER BY stamp_s",
            (*self._window.key, now_s - self._window.memory_s, Command.BACKFILL, self._command is Command.BACKFILL),
        ).fetchall()
        return tuple([stamp_s for (stamp_s,) in rows])

    def _lockout(self) -> Lockout:
        row = self._connection.execute(
            "SELECT phase, until_s, level, probe_until_s FROM lockouts WHERE account = ? AND endpoint = ?",
            self._window.key,
        ).fetchone()
        return Lockout(LockoutPhase(row[0]), *row[1:]) if row else Lockout()

    def _turned(self, turn: Turn) -> Lockout:
        standing = self._standing()
        lockout = turn(standing)
        self._store_lockout(lockout, standing)
        return lockout

    def _store_lockout(self, lockout: Lockout, standing: Standing) -> None:
        if lockout == standing.lockout:
            return
        until_wall_s = self._clock.wall_s() + lockout.until_s - standing.now_s
        self._connection.execute(
            "INSERT OR REPLACE INTO lockouts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*self._window.key, lockout.phase, lockout.until_s, until_wall_s, lockout.level, lockout.probe_until_s),
        )

    def _store_demand(self, until_s: float, standing: Standing) -> None:
        if until_s == standing.demand_until_s:
            return
        key = (*self._window.key, self._command)
        if until_s:
            self._connection.execute("INSERT OR REPLACE INTO demands VALUES (?, ?, ?, ?)", (*key, until_s))
        else:
            self._connection.execute("DELETE FROM demands WHERE account = ? AND endpoint = ? AND command = ?", key)

    def _write_down(self, job_id: int | None, now_s: float, stamp_s: float, *, is_probe: bool) -> Lease:
        lease_id = self._insert(now_s, stamp_s)
        if job_id is not None:
            self._connection.execute("UPDATE jobs SET calls = calls + 1 WHERE id = ?", (job_id,))
        if lease_id % PRUNE_EVERY_CALLS == 0:
            self._prune(now_s)
        insort(self._stamps, stamp_s)
        self._own_out.add(lease_id)
        self._last_id = lease_id
        return Lease(lease_id, job_id, stamp_s, is_probe=is_probe)

    def _write_anew(self, lease: Lease, stamp_s: float) -> None:
        """Put a call under a new number: its stamp moves later, and other processes read new calls only.

        It can only be that the machine slept between lease and end.
        """
        self._read_new()
        self._connection.execute("DELETE FROM calls WHERE id = ?", (lease.id,))
        self._last_id = self._insert(self._clock.now_s(), stamp_s)

    def _insert(self, started_s: float, stamp_s: float) -> int:
        """Write a call down under a new number, and return that."""
        row = self._connection.execute(
            "INSERT INTO calls (account, endpoint, started_s, stamp_s, asleep_s, command) VALUES (?, ?, ?, ?, ?, ?)"
            " RETURNING id",
            (*self._window.key, started_s, stamp_s, self._clock.asleep_s(), self._command),
        ).fetchone()
        return int(row["id"])

    def _notice_sleep(self) -> None:
        """Let calls that were out while the machine slept weigh as much longer: they slept too, and go on now."""
        asleep_s = self._clock.asleep_s()
        if asleep_s - self._asleep_s < SLEEP_MIN_S:
            return
        self._connection.execute(
            "UPDATE calls SET stamp_s = stamp_s + (? - asleep_s), asleep_s = ?"
            " WHERE account = ? AND endpoint = ? AND is_out AND asleep_s < ?",
            (asleep_s, asleep_s, *self._window.key, asleep_s - SLEEP_MIN_S),
        )
        self._asleep_s = asleep_s
        self._read_all()

    def _read_new(self) -> None:
        """Read the calls that other processes have started since; drop what no longer matters."""
        for row in self._rows("id > ?", self._last_id):
            insort(self._stamps, row["stamp_s"])
            self._learn(row)
        del self._stamps[: bisect_right(self._stamps, self._clock.now_s() - self._window.memory_s)]

    def _read_all(self) -> None:
        rows = self._rows("stamp_s > ?", self._clock.now_s() - self._window.memory_s)
        self._stamps = sorted(row["stamp_s"] for row in rows)
        self._unsure_until_s = 0.0
        for row in rows:
            self._learn(row)

    def _learn(self, row: sqlite3.Row) -> None:
        self._last_id = max(self._last_id, row["id"])
        if row["is_out"] and row["id"] not in self._own_out:
            self._unsure_until_s = max(self._unsure_until_s, row["stamp_s"] + self._window.memory_s)

    def _rows(self, condition: str, value: float) -> list[sqlite3.Row]:
        return self._connection.execute(
            f"SELECT id, stamp_s, is_out FROM calls WHERE account = ? AND endpoint = ? AND {condition}",
            (*self._window.key, value),
        ).fetchall()

    def _restamp(self, lease: Lease, after_s: float | None) -> None:
        """Move one stamp in memory as it was moved in the file."""
        self._own_out.discard(lease.id)
        index = bisect_left(self._stamps, lease.stamp_s)
        if index < len(self._stamps) and self._stamps[index] == lease.stamp_s:
            del self._stamps[index]
        if after_s is not None:
            insort(self._stamps, after_s)

    def _prune(self, now_s: float) -> None:
        self._connection.execute(
            "DELETE FROM calls WHERE account = ? AND endpoint = ? AND stamp_s <= ?",
            (*self._window.key, now_s - KEPT_MEMORIES * self._window.memory_s),
        )
