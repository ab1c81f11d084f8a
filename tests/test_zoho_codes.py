import pytest

from harvester.model import FailureKind
from harvester.zoho.codes import SUCCESS, TABLE, UNKNOWN, Endpoint, meaning_of

DOCUMENTED = (
    "400 401 404 500 901 902 903 910 914 916 991 992 993 994 995 996 1001 1002 1003 1004 1005 1006 1007 2001 2002 2003 "
    "2008 2020 2021 2101 2102 2103 2201 2202 2203 2204 2205 2206 2301 2302 2401 2402 2501 2502 2601 2602 2603 2604 "
    "2701 2704 2706 2707 3001 6001 6002 6101 6301 6302 6303 6304 6305 6306 6307 6501 6502 6503 6600 6601 6603 6604 "
    "6605 6606 6607 6608 6609 6610 6611 7001 7002 7003 409909"
)


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
        ("4711", FailureKind.UNKNOWN),
    ],
)
def test_A_02_A_04_codes_have_their_kinds(code: str, kind: FailureKind | None) -> None:
    """Each group of codes is judged as the table says; a code that nobody documented is unknown."""
    assert meaning_of(code).kind is kind


def test_6101_is_the_end_of_a_listing_and_an_error_elsewhere() -> None:
    """The same number ends the list of campaigns and means nothing good for recipients."""
    assert meaning_of("6101", endpoint=Endpoint.CAMPAIGNS).kind is None
    assert meaning_of("6101").kind is FailureKind.JOB
