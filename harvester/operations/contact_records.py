"""What becomes of the rows of one account in one run: lines of a partition, with what is kept of each contact."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harvester.clock import Clock
from harvester.model import Job, Page, Row
from harvester.zoho.contacts import SOURCES, RecordContext, contact_identity, identity_of_record, lines
from harvester.zoho.privacy import KEEP_ALL, Privacy


@dataclass(frozen=True, slots=True)
class ContactRecords:
    """What becomes of the rows of one account in one run.

    Attributes:
        run_id: as the records name it.
        offset_ms: by how much the account's `sent_time` runs ahead of UTC, if known.
        clock: the time, for `harvested_at`.
        privacy: what is kept of them.
    """

    run_id: str
    offset_ms: int | None
    clock: Clock
    privacy: Privacy = KEEP_ALL

    def protect(self, page: Page) -> Page:
        """Return a page with its rows as they may be kept; the other methods take such rows alone."""
        return self.privacy.page(page)

    def kept(self, reply: bytes) -> bytes:
        """Return what may be kept of a reply with rows that could not be read."""
        return self.privacy.reply(reply)

    def render(self, job: Job, rows: Sequence[Row], positions: Sequence[int]) -> bytes:
        """Return the rows as records, one a line."""
        harvested_at = datetime.fromtimestamp(self.clock.wall_s(), UTC).isoformat(timespec="milliseconds")
        context = RecordContext(
            account=job.account,
            campaign_key=job.campaign.key,
            parent_campaign_key=job.campaign.parent_key,
            action=job.action,
            harvested_at=harvested_at.replace("+00:00", "Z"),
            run_id=self.run_id,
            sent_time_offset_ms=self.offset_ms,
            has_raw=self.privacy.has_raw,
        )
        return lines(rows, positions, context)

    def identity(self, row: Row) -> str:
        """Return by what the same contact is known again."""
        return contact_identity(row) if self.privacy.has_raw else identity_of_record(row)

    def row_of_line(self, line: bytes) -> tuple[Row, int]:
        """Return the row of a line that was written, as it was kept, and its 1-based place in the set."""
        record = json.loads(line)  # orjson would round numbers beyond 64 bits
        row = record["raw"] if self.privacy.has_raw else {name: record[name] for name in SOURCES}
        return row, record["position"]
