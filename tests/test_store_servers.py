from pathlib import Path

from harvester.store.database import Database
from harvester.store.servers import Servers


def test_A_14_what_a_server_taught_us_outlives_the_run(tmp_path: Path) -> None:
    """The longest page only grows, the offset is the last one seen, each for its own account and after a restart."""
    database = Database(tmp_path / "ledger.sqlite")
    servers = Servers(database)
    servers.learn_sent_time_offset("acme", 28_800_000)
    for rows in (20, 500, 200):
        servers.learn_page_rows("acme", rows)
    database.close()

    database = Database(tmp_path / "ledger.sqlite")
    servers = Servers(database)

    assert servers.longest_page_rows("acme") == 500
    assert servers.sent_time_offset_ms("acme") == 28_800_000
    assert (servers.longest_page_rows("other"), servers.sent_time_offset_ms("other")) == (0, None)
    database.close()
