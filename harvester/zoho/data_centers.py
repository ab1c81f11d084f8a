"""Where each of Zoho's data centres answers."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataCenter:
    """The two hosts of one data centre, as https URLs without a path; a token of one is no token of another."""

    api_url: str
    accounts_url: str


def _same_suffix(suffix: str) -> DataCenter:
    return DataCenter(f"https://campaigns.{suffix}", f"https://accounts.{suffix}")


DATA_CENTERS: Mapping[str, DataCenter] = {
    # Documented in the developer help under "data centers".
    "com": _same_suffix("zoho.com"),
    "eu": _same_suffix("zoho.eu"),
    "in": _same_suffix("zoho.in"),
    "com.au": _same_suffix("zoho.com.au"),
    "jp": _same_suffix("zoho.jp"),
    "com.cn": _same_suffix("zoho.com.cn"),
    # Seen to answer by a public connector's probes (September 2026); *.zoho.ca does not resolve.
    "ca": _same_suffix("zohocloud.ca"),
    "sa": _same_suffix("zoho.sa"),
}
"""Name in the configuration to hosts. Hosts of the UK and the UAE are unknown: set base_url and accounts_url there."""
