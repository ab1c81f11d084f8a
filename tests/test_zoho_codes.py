from collections.abc import Iterator
from pathlib import Path

import pytest

from harvester.model import FailureKind
from harvester.zoho.codes import DIFFERENCES, SUCCESS, TABLE, UNKNOWN, Endpoint, Meaning, meaning_of

DOCUMENTED = (
    "400 401 404 500 901 902 903 910 914 916 991 992 993 994 995 996 1001 1002 1003 1004 1005 1006 1007 2001 2002 2003 "
    "2008 2020 2021 2101 2102 2103 2201 2202 2203 2204 2205 2206 2301 2302 2401 2402 2501 2502 2601 2602 2603 2604 "
    "2701 2704 2706 2707 3001 6001 6002 6101 6301 6302 6303 6304 6305 6306 6307 6501 6502 6503 6600 6601 6603 6604 "
    "6605 6606 6607 6608 6609 6610 6611 7001 7002 7003 409909 "
    # Success of other calls; of the sister products; named by other parts of Zoho.
    "3023 6201 900 917 919 928 980 2004 2006 2007 2009 2010 2011 3000 3002 3003 3004 3005 3006 3007 3008 3009 "
    "409903 409907 INVALID_TOKEN INVALID_OAUTHTOKEN INVALID_SCOPE OAUTH_SCOPE_MISMATCH"
)
DOCS = Path(__file__).parent.parent / "docs" / "api.md"


def documented_rows(cells: int) -> Iterator[list[str]]:
    """The rows of the tables of docs/api.md that have so many cells, heads and rules left out."""
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(row) == cells and row[0] not in {"codes", "code"}:
            yield row


def told(meaning: Meaning) -> tuple[str, str, str]:
    return (meaning.kind or "no rows", meaning.text, meaning.remedy)


def test_the_documentation_has_every_code_as_the_table_has_it() -> None:
    """Whoever meets a code can look up what it means here, and finds what the program does."""
    documented = {code: tuple(rest) for codes, *rest in documented_rows(4) for code in codes.split(", ")}

    assert documented == {code: told(meaning) for code, meaning in TABLE.items()}


def test_the_documentation_has_every_difference_between_endpoints() -> None:
    """A code that means something else elsewhere is said to."""
    documented = {(endpoint, code): tuple(rest) for code, endpoint, *rest in documented_rows(5)}

    assert documented == {
        (endpoint.value, code): told(meaning)
        for endpoint, codes in DIFFERENCES.items()
        for code, meaning in codes.items()
    }


def test_the_documentation_has_every_kind_of_a_code() -> None:
    """The words of the table are explained above it."""
    explained = {row[0] for row in documented_rows(3)}

    assert {meaning.kind or "no rows" for meaning in TABLE.values()} - explained == set()


def test_every_documented_code_is_known() -> None:
    """No documented code is read as unknown, and each has a text and a remedy."""
    for code in DOCUMENTED.split():
        meaning = meaning_of(code)

        assert meaning is not UNKNOWN, code
        assert meaning.text
        assert meaning.remedy.endswith(".")


def test_no_success_code_is_in_the_table_of_failures() -> None:
    """Success and failure are told apart by code alone."""
    assert not set().union(*SUCCESS.values()) & TABLE.keys()


def test_A_01_6601_is_not_applicable_only_where_it_speaks_of_recipients() -> None:
    """6601 without the A/B text counts as missing privileges, which nobody may skip silently."""
    documented = "AB campaign cannot be sent to less than 4 recipients."

    assert meaning_of("6601", documented).kind is FailureKind.NOT_APPLICABLE
    assert meaning_of("6601", "Insufficient privileges").kind is FailureKind.CAMPAIGN
    assert meaning_of("6601").kind is FailureKind.CAMPAIGN
    assert meaning_of("6601", documented, Endpoint.CAMPAIGNS).kind is FailureKind.ACCOUNT


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("6607", FailureKind.CAMPAIGN),
        ("6002", FailureKind.CAMPAIGN),
        ("1007", FailureKind.TOKEN),
        ("invalid_oauthtoken", FailureKind.TOKEN),
        ("409909", FailureKind.LOCKED),
        ("6001", FailureKind.TRANSIENT),
        ("1004", FailureKind.ACCOUNT),
        ("1001", FailureKind.JOB),
        ("6303", None),
        ("6502", FailureKind.OVERSIZE),
        ("INVALID_SCOPE", FailureKind.ACCOUNT),
        ("3023", FailureKind.UNKNOWN),
        ("4711", FailureKind.UNKNOWN),
    ],
)
def test_A_02_A_04_codes_have_their_kinds(code: str, kind: FailureKind | None) -> None:
    """Each group of codes is judged as the table says; a code that nobody documented is unknown."""
    assert meaning_of(code).kind is kind


def test_6101_is_the_end_of_a_listing_and_an_error_elsewhere() -> None:
    """The same number ends the list of campaigns and means nothing good for recipients."""
    assert meaning_of("6101", endpoint=Endpoint.CAMPAIGNS).kind is None
    assert meaning_of("6101", endpoint=Endpoint.REPORTS).kind is None
    assert meaning_of("6101").kind is FailureKind.JOB
