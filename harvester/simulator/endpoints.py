"""The four data endpoints: a world and parameters in, an outcome out. Pure; no token, no limit, no format.

Sources: the documentation's pages of these endpoints; where they are silent, what users saw live.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from harvester.simulator.campaigns import Campaign, Kind
from harvester.simulator.counters import counters_of, told_counters
from harvester.simulator.envelopes import LISTING, ZUID, Document, Outcome, Page, Refusal
from harvester.simulator.membership import ACTIONS
from harvester.simulator.options import AnswerOptions, Options, PastEnd
from harvester.simulator.paging import Cut, cut, cut_wrongly, granted_rows
from harvester.simulator.rows import ACCOUNT_ZONE_NAME, IDS_PER_SLOT, SENT_TIME_SHIFT_MS, date_text
from harvester.simulator.set_options import PagingFault, PagingOptions
from harvester.simulator.world import World

RECIPIENTS = "getcampaignrecipientsdata"

DEFAULT_RANGE_ROWS = 20
"""Without `range` a recipients page has this many rows. Source: the documented echo; seen live."""

DEFAULT_RANGE_CAMPAIGNS = 5
"""recentcampaigns promises "the five most recent campaigns"."""

DIGITS_MAX = 18
"""No index or range has more: enough for 64 bits, and far from what Python refuses to convert."""

Params = Mapping[str, str]

NO_FIELDS = Refusal("903", "No mandatory fields in this URL.")
BAD_PATTERN = Refusal("1001", "Pattern doesn't Match", is_capital=True)
NOT_SENT = Refusal("6002", "Invalid campaign key (or) campaign is not yet sent.")
TOO_FEW = Refusal("6601", "AB campaign cannot be sent to less than 4 recipients.")
NO_PRIVILEGE = Refusal("6607", "Insufficient privileges to perform this action. Please contact the org admin.")
OVER_MAXIMUM = Refusal("6502", "Limit given is more than the maximum.")
NO_CAMPAIGN = Refusal("6101", "No campaign available in this view.")
INVALID_KEY = Refusal("6301", "Invalid campaign key.")

_REFUSAL_OF_END = {
    PastEnd.NO_CONTACTS: Refusal("6303", "There are no contacts in the selected mailing list."),
    PastEnd.NONE_FOUND: Refusal("6302", "No contacts found."),
    PastEnd.NONE_FITTING: Refusal("6501", "No contacts present for this criteria."),
    PastEnd.NO_CONTACT: Refusal("993", "No contact."),
}
_REFUSAL_OF_KIND = {Kind.TINY_AB: TOO_FEW, Kind.FORBIDDEN: NO_PRIVILEGE}
_TIMELINE_ACTIONS = {"open_timeline": "openedcontacts", "click_timeline": "clickedcontacts"}
_STATUSES = ("Sent", "Draft", "Scheduled")
_VIEWS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("all", "all campaigns"), _STATUSES),
    "sent": ("Sent",),
    "drafts": ("Draft",),
    "scheduled": ("Scheduled",),
    **dict.fromkeys(("inprogress", "stopped", "canceled", "tobereviewed", "reviewed", "paused", "intesting"), ()),
}
"""The values of the parameter `status`, with the statuses that each shows."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call for recipients asks: rows of one set, from the 1-based `from_index` on."""

    campaign: Campaign
    action: str
    from_index: int
    range_rows: int


def recipients(world: World, params: Params, options: Options) -> Outcome:
    """Answer getcampaignrecipientsdata: one page of a campaign's recipients of one action."""
    asked, answers = _asked(world, params, options.answers), options.answers
    if isinstance(asked, Refusal):
        return asked
    length = granted_rows(answers, asked.range_rows, world.calls)
    first, contacts = _cut(world, asked, length, options.paging)
    ending = answers.empty if asked.from_index == 1 and answers.empty else answers.past_end
    if not contacts and ending is not PastEnd.EMPTY_LIST:
        return _REFUSAL_OF_END[ending]
    return Page(
        campaign=asked.campaign,
        action=asked.action,
        contacts=contacts,
        first=first,
        is_last=first + len(contacts) >= len(world.recipients(asked.campaign, asked.action)),
        from_index=asked.from_index,
        range_rows=length if answers.is_clamp_echoed else asked.range_rows,
        echo=answers.echo,
        is_live=world.has_live_names(asked.campaign),
        has_timeline=_TIMELINE_ACTIONS.get(params.get("type", "")) == asked.action,
    )


def _asked(world: World, params: Params, answers: AnswerOptions) -> _Asked | Refusal:
    campaign_key, action = params.get("campaignkey"), params.get("action")
    if not campaign_key or not action:
        return NO_FIELDS
    from_index, range_rows = whole_number(params, "fromindex", 1), whole_number(params, "range", DEFAULT_RANGE_ROWS)
    if action not in ACTIONS or from_index is None or range_rows is None:
        return BAD_PATTERN
    campaign = world.find(campaign_key)
    if campaign is None or not world.is_sent(campaign):
        return NOT_SENT
    if campaign.kind in _REFUSAL_OF_KIND:
        return _REFUSAL_OF_KIND[campaign.kind]
    if answers.refuse_range_over_rows is not None and range_rows > answers.refuse_range_over_rows:
        return OVER_MAXIMUM
    return _Asked(campaign, action, from_index, range_rows)


def _cut(world: World, asked: _Asked, length: int, options: PagingOptions) -> Cut:
    """Return the page of this length that was asked for, or the one that the set gives wrongly instead."""
    rows, first = world.recipients(asked.campaign, asked.action), asked.from_index - 1
    fault = world.paging_fault(asked.campaign, asked.action)
    if fault is None:
        return cut(rows, first, length)
    if fault is PagingFault.OVERSIZE:
        return cut(rows, first, length + options.oversize_rows)
    newcomer = partial(world.newcomer, asked.campaign, asked.action)
    # Those who come into a moving set are counted from 0.
    return cut_wrongly(fault, rows, (first, length), lambda number: newcomer(IDS_PER_SLOT + number))


def recent_campaigns(world: World, params: Params, options: Options) -> Outcome:
    """Answer recentcampaigns: newest first, or oldest first with sort=asc."""
    from_index, asked_rows = (
        whole_number(params, "fromindex", 1),
        whole_number(params, "range", DEFAULT_RANGE_CAMPAIGNS),
    )
    views = params.get("status", "all").lower().split("|")
    if from_index is None or asked_rows is None or not all(view in _VIEWS for view in views):
        return BAD_PATTERN
    shown = {status for view in views for status in _VIEWS[view]}
    in_view = [campaign for campaign in world.listed if _status(world, campaign) in shown]
    if params.get("sort", "desc").lower() != "asc":
        in_view.reverse()
    listed = in_view[from_index - 1 : from_index - 1 + asked_rows]
    if not listed:
        return NO_CAMPAIGN
    echo = {"fromindex": from_index, "range": asked_rows, "total_record_count": len(in_view)}
    rows = [_campaign_row(campaign, _status(world, campaign), options.answers) for campaign in listed]
    return Document(echo | {LISTING: rows})


def campaign_reports(world: World, params: Params, options: Options) -> Outcome:
    """Answer campaignreports: the counters of this moment, which agree with the recipients unless miscounted."""
    campaign = _sent_campaign(world, params)
    if isinstance(campaign, Refusal):
        return campaign
    return Document(
        {
            "campaign-details": [_details(campaign)],
            "campaign-reports": [_report(world, campaign, options)],
            "campaign-reach": [{"total": "0", "emails": "0", "facebook": "0", "twitter": "0", "linkedin": "0"}],
            "campaign-by-loaction": "{in=2}",  # the API's own spelling
        }
    )


def campaign_details(world: World, params: Params, options: Options) -> Outcome:
    """Answer getcampaigndetails; the keys of the A/B halves are shown to campaigntype=abtesting alone."""
    campaign_type = params.get("campaigntype")
    if not campaign_type or not params.get("campaignkey"):
        return NO_FIELDS
    if campaign_type not in ("normal", "abtesting"):
        return BAD_PATTERN
    campaign = _sent_campaign(world, params)
    if isinstance(campaign, Refusal):
        return INVALID_KEY if campaign is NOT_SENT else campaign
    is_asked_rightly = campaign.is_ab == (campaign_type == "abtesting")
    fields: dict[str, Any] = {
        "campaign_status": "Sent",
        "campaign-details": [_details(campaign)],
        "campaign-reports": [_report(world, campaign, options)] if is_asked_rightly else [],
    }
    if campaign_type == "abtesting":
        fields["AB-split-details"] = [_split(world, campaign)] if campaign.child_keys else []
    return Document(fields)


ENDPOINTS: Mapping[str, Callable[[World, Params, Options], Outcome]] = {
    RECIPIENTS: recipients,
    "recentcampaigns": recent_campaigns,
    "campaignreports": campaign_reports,
    "getcampaigndetails": campaign_details,
}
"""By the last part of the path."""


def whole_number(params: Params, name: str, default: int) -> int | None:
    """Read a whole number from 1 up; None if it is something else."""
    text = params.get(name)
    if text is None:
        return default
    is_number = text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and int(text) > 0
    return int(text) if is_number else None


def _sent_campaign(world: World, params: Params) -> Campaign | Refusal:
    campaign_key = params.get("campaignkey")
    if not campaign_key:
        return NO_FIELDS
    campaign = world.find(campaign_key)
    if campaign is None or not world.is_sent(campaign):
        return NOT_SENT
    return NO_PRIVILEGE if campaign.kind is Kind.FORBIDDEN else campaign


def _times(name: str, utc_ms: int) -> dict[str, str]:
    return {
        f"{name}_time": str(utc_ms + SENT_TIME_SHIFT_MS),
        f"{name}_time_gmt": str(utc_ms),
        f"{name}_date_string": date_text(utc_ms),
    }


def _status(world: World, campaign: Campaign) -> str:
    if campaign.kind is Kind.DRAFT:
        return "Draft"
    return "Sent" if world.is_sent(campaign) else "Scheduled"


def _campaign_row(campaign: Campaign, status: str, answers: AnswerOptions) -> dict[str, str]:
    row = {
        "campaign_key": campaign.key,
        "campaignId": str(1_293_000_000_000_000_000 + campaign.index),
        "campaign_name": campaign.name,
        "campaign_status": status,
        "campaigntype": answers.ab_type if campaign.is_ab else "normal",
        "subject": campaign.subject,
        "from_email": "news@sender.example",
        "reply_to": "news@sender.example",
        "campaign_preview": f"https://preview.example/{campaign.index}",
        "folder_id": "",
        "is_hybrid": "false",
        "zuid": ZUID,
        **_times("created", campaign.created_ms),
        **_times("updated", campaign.created_ms if status == "Scheduled" else campaign.sent_ms),
    }
    return row if status != "Sent" else row | _times("sent", campaign.sent_ms) | {"sent_time_zone": ACCOUNT_ZONE_NAME}


def _details(campaign: Campaign) -> dict[str, str]:
    return {"campaign_name": campaign.name, "email_subject": campaign.subject, "sent_time_zone": ACCOUNT_ZONE_NAME}


def _report(world: World, campaign: Campaign, options: Options) -> dict[str, str]:
    return {"campaign_name": campaign.name} | told_counters(world, campaign, options)


def _split(world: World, campaign: Campaign) -> dict[str, str]:
    split = {}
    for half, key in zip("ab", campaign.child_keys, strict=True):
        split[f"{half}_child_campaignkey"] = key
        counters = counters_of(world, world.campaign(key))
        split[f"{half}_open_count"] = str(counters["opens_count"])
        split[f"{half}_click_count"] = str(counters["unique_clicks_count"])
    return split


def rows_span(outcome: Outcome) -> tuple[str, int, int, bool] | None:
    """Return which rows a page gives: its job, positions [first, end) from 0, and whether it ends the set.

    None if the outcome is no page.
    """
    if not isinstance(outcome, Page):
        return None
    job = f"{outcome.campaign.key}/{outcome.action}"
    return job, outcome.first, outcome.first + len(outcome.contacts or ()), outcome.is_last
