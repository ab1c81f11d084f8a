"""The four data endpoints: a world and parameters in, an outcome out. Pure; no token, no limit, no format.

Sources: the documentation's pages of these endpoints; where they are silent, what users saw live.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harvester.simulator.envelopes import LISTING, ZUID, Document, Outcome, Page, Refusal
from harvester.simulator.options import AnswerOptions, PastEnd
from harvester.simulator.rows import ACCOUNT_ZONE_NAME, SENT_TIME_SHIFT_MS, date_text
from harvester.simulator.world import ACTIONS, Campaign, Kind, World

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
NO_CONTACTS = Refusal("6303", "There are no contacts in the selected mailing list.")
NOT_SENT = Refusal("6002", "Invalid campaign key (or) campaign is not yet sent.")
TOO_FEW = Refusal("6601", "AB campaign cannot be sent to less than 4 recipients.")
NO_PRIVILEGE = Refusal("6607", "Insufficient privileges to perform this action. Please contact the org admin.")
OVER_MAXIMUM = Refusal("6502", "Limit given is more than the maximum.")
NO_CAMPAIGN = Refusal("6101", "No campaign available in this view.")
INVALID_KEY = Refusal("6301", "Invalid campaign key.")

_REFUSAL_OF_KIND = {Kind.DRAFT: NOT_SENT, Kind.TINY_AB: TOO_FEW, Kind.FORBIDDEN: NO_PRIVILEGE}
_TIMELINE_ACTIONS = {"open_timeline": "openedcontacts", "click_timeline": "clickedcontacts"}
_STATUS_VIEWS = {"all": (True, True), "all campaigns": (True, True), "sent": (True, False), "drafts": (False, True)}
_OTHER_VIEWS = ("scheduled", "inprogress", "stopped", "canceled", "tobereviewed", "reviewed", "paused", "intesting")


def recipients(world: World, params: Params, options: AnswerOptions) -> Outcome:
    """Answer getcampaignrecipientsdata: one page of a campaign's recipients of one action."""
    campaign_key, action = params.get("campaignkey"), params.get("action")
    if not campaign_key or not action:
        return NO_FIELDS
    from_index, asked_rows = whole_number(params, "fromindex", 1), whole_number(params, "range", DEFAULT_RANGE_ROWS)
    if action not in ACTIONS or from_index is None or asked_rows is None:
        return BAD_PATTERN
    campaign = world.find(campaign_key)
    if campaign is None or campaign.kind in _REFUSAL_OF_KIND:
        return NOT_SENT if campaign is None else _REFUSAL_OF_KIND[campaign.kind]
    if options.refuse_range_over_rows is not None and asked_rows > options.refuse_range_over_rows:
        return OVER_MAXIMUM
    given_rows = min(asked_rows, options.clamp_rows or asked_rows)
    contacts = world.recipients(campaign, action)[from_index - 1 : from_index - 1 + given_rows]
    if not contacts and options.past_end is PastEnd.NO_CONTACTS:
        return NO_CONTACTS
    return Page(
        campaign=campaign,
        action=action,
        contacts=contacts,
        from_index=from_index,
        range_rows=given_rows if options.is_clamp_echoed else asked_rows,
        echo=options.echo,
        is_live=world.has_live_names(campaign),
        has_timeline=_TIMELINE_ACTIONS.get(params.get("type", "")) == action,
    )


def recent_campaigns(world: World, params: Params, _: AnswerOptions) -> Outcome:
    """Answer recentcampaigns: newest first, or oldest first with sort=asc."""
    from_index, asked_rows = (
        whole_number(params, "fromindex", 1),
        whole_number(params, "range", DEFAULT_RANGE_CAMPAIGNS),
    )
    views = params.get("status", "all").lower().split("|")
    if from_index is None or asked_rows is None or not all(view in (*_STATUS_VIEWS, *_OTHER_VIEWS) for view in views):
        return BAD_PATTERN
    shown = [_STATUS_VIEWS.get(view, (False, False)) for view in views]
    wants_sent, wants_drafts = any(sent for sent, _ in shown), any(drafts for _, drafts in shown)
    in_view = [
        campaign
        for campaign in (world.campaigns if params.get("sort", "desc").lower() == "asc" else reversed(world.campaigns))
        if (wants_drafts if campaign.kind is Kind.DRAFT else wants_sent)
    ]
    listed = in_view[from_index - 1 : from_index - 1 + asked_rows]
    if not listed:
        return NO_CAMPAIGN
    echo = {"fromindex": from_index, "range": asked_rows, "total_record_count": len(in_view)}
    return Document(echo | {LISTING: [_campaign_row(campaign) for campaign in listed]})


def campaign_reports(world: World, params: Params, _: AnswerOptions) -> Outcome:
    """Answer campaignreports: the counters, which agree with the recipients."""
    campaign = _sent_campaign(world, params)
    if isinstance(campaign, Refusal):
        return campaign
    return Document(
        {
            "campaign-details": [_details(campaign)],
            "campaign-reports": [_counters(world, campaign)],
            "campaign-reach": [{"total": "0", "emails": "0", "facebook": "0", "twitter": "0", "linkedin": "0"}],
            "campaign-by-loaction": "{in=2}",  # the API's own spelling
        }
    )


def campaign_details(world: World, params: Params, _: AnswerOptions) -> Outcome:
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
        "campaign-reports": [_counters(world, campaign)] if is_asked_rightly else [],
    }
    if campaign_type == "abtesting":
        fields["AB-split-details"] = [_split(world, campaign)] if campaign.child_keys else []
    return Document(fields)


ENDPOINTS: Mapping[str, Callable[[World, Params, AnswerOptions], Outcome]] = {
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
    if campaign is None or campaign.kind is Kind.DRAFT:
        return NOT_SENT
    return NO_PRIVILEGE if campaign.kind is Kind.FORBIDDEN else campaign


def _times(name: str, utc_ms: int) -> dict[str, str]:
    return {
        f"{name}_time": str(utc_ms + SENT_TIME_SHIFT_MS),
        f"{name}_time_gmt": str(utc_ms),
        f"{name}_date_string": date_text(utc_ms),
    }


def _campaign_row(campaign: Campaign) -> dict[str, str]:
    is_draft = campaign.kind is Kind.DRAFT
    row = {
        "campaign_key": campaign.key,
        "campaignId": str(1_293_000_000_000_000_000 + campaign.index),
        "campaign_name": campaign.name,
        "campaign_status": "Draft" if is_draft else "Sent",
        "campaigntype": "abtesting" if campaign.is_ab else "normal",
        "subject": campaign.name,
        "from_email": "news@sender.example",
        "reply_to": "news@sender.example",
        "campaign_preview": f"https://preview.example/{campaign.index}",
        "folder_id": "",
        "is_hybrid": "false",
        "zuid": ZUID,
        **_times("created", campaign.sent_ms - 3_600_000),
        **_times("updated", campaign.sent_ms),
    }
    return row if is_draft else row | _times("sent", campaign.sent_ms) | {"sent_time_zone": ACCOUNT_ZONE_NAME}


def _details(campaign: Campaign) -> dict[str, str]:
    return {"campaign_name": campaign.name, "email_subject": campaign.name, "sent_time_zone": ACCOUNT_ZONE_NAME}


def _counters(world: World, campaign: Campaign) -> dict[str, str]:
    has_rows = campaign.kind is not Kind.TINY_AB
    rows = {action: len(world.recipients(campaign, action)) if has_rows else 0 for action in ACTIONS}
    hard, soft = rows["senthardbounce"], rows["sentsoftbounce"]
    counts = {
        "emails_sent_count": rows["sentcontacts"],
        "delivered_count": rows["sentcontacts"] - hard - soft,
        "opens_count": rows["openedcontacts"],
        "unopened": rows["unopenedcontacts"],
        "unique_clicks_count": rows["clickedcontacts"],
        "unsub_count": rows["optoutcontacts"],
        "spams_count": rows["spamcontacts"],
        "complaints_count": rows["spamcontacts"],
        "hardbounce_count": hard,
        "softbounce_count": soft,
        "bounces_count": hard + soft,
        "unsent_count": rows["unsentcontacts"],
        "autoreply_count": 0,
        "forwards_count": 0,
    }
    return {"campaign_name": campaign.name} | {name: str(count) for name, count in counts.items()}


def _split(world: World, campaign: Campaign) -> dict[str, str]:
    split = {}
    for half, key in zip("ab", campaign.child_keys, strict=True):
        split[f"{half}_child_campaignkey"] = key
        counters = _counters(world, world.campaign(key))
        split[f"{half}_open_count"] = counters["opens_count"]
        split[f"{half}_click_count"] = counters["unique_clicks_count"]
    return split


def rows_span(outcome: Outcome) -> tuple[str, int, int] | None:
    """Return which rows a page gives: its job, and the positions [first, end) from 0; None if it is no page."""
    if not isinstance(outcome, Page):
        return None
    contacts: Sequence[object] = outcome.contacts or ()
    first = outcome.from_index - 1
    return f"{outcome.campaign.key}/{outcome.action}", first, first + len(contacts)
