"""What an account's server has taught us; it outlives harvests, as it is true of the server and not of a date."""

import datetime as dt

from harvester.store.database import Database


class Servers:
    """One note for each account.

    Args:
        database: the open file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.durable

    def longest_page_rows(self, account: str, date: dt.date) -> int:
        """Return the longest page, in rows, that this account's server gave in the harvest of a date; 0 before any."""
        row = self._connection.execute(
            "SELECT longest_page_rows FROM servers WHERE account = ? AND longest_page_date = ?",
            (account, date.isoformat()),
        ).fetchone()
        return row["longest_page_rows"] if row else 0

    def learn_page_rows(self, account: str, date: dt.date, rows: int) -> None:
        """Remember a page of `rows` rows; what was known of another date is forgotten."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO servers (account, longest_page_rows, longest_page_date) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET longest_page_rows = iif(longest_page_date IS excluded.longest_page_date,"
                " max(longest_page_rows, excluded.longest_page_rows), excluded.longest_page_rows),"
                " longest_page_date = excluded.longest_page_date",
                (account, rows, date.isoformat()),
            )

    def sent_time_offset_ms(self, account: str) -> int | None:
        """Return by how many milliseconds the account's `sent_time` runs ahead of UTC, if that was ever seen."""
        row = self._connection.execute(
            "SELECT sent_time_offset_ms FROM servers WHERE account = ?", (account,)
        ).fetchone()
        return row["sent_time_offset_ms"] if row else None

    def learn_sent_time_offset(self, account: str, offset_ms: int) -> None:
        """Remember the offset, as a campaign of the listing shows it."""
        with self._database.writing(self._connection) as connection:
            connection.execute(
                "INSERT INTO servers (account, sent_time_offset_ms) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET sent_time_offset_ms = excluded.sent_time_offset_ms",
                (account, offset_ms),
            )
