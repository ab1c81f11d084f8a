"""An account that calls the simulator's pure model, at times of its own choosing."""

from collections.abc import Iterator
from typing import Any

import orjson

from harvester.simulator.model import Zoho
from harvester.simulator.options import Options, WorldOptions
from harvester.simulator.wire import API_PREFIX, TOKEN_PATH, Answer, Request
from harvester.simulator.world import Kind, World

CLIENT = "acme-client"
RECIPIENTS = "getcampaignrecipientsdata"
CREDENTIALS = {
    "grant_type": "refresh_token",
    "client_id": CLIENT,
    "client_secret": "made-up",
    "refresh_token": "made-up",
}


def json_of(answer: Answer) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(answer.body)
    return document


class Caller:
    """One account that calls the model at times of its own choosing."""

    def __init__(self, zoho: Zoho, now_s: float = 0.0) -> None:
        self.zoho = zoho
        self.now_s = now_s
        self.token = str(self.new_token()["access_token"])

    @property
    def world(self) -> World:
        return self.zoho.world(CLIENT)

    def new_token(self, **changes: str) -> dict[str, Any]:
        return json_of(self.zoho.answer(Request(TOKEN_PATH, CREDENTIALS | changes), self.now_s))

    def call(self, endpoint: str = RECIPIENTS, **params: str | int) -> Answer:
        texts = {"resfmt": "JSON"} | {name: str(value) for name, value in params.items()}
        headers = {"authorization": f"Zoho-oauthtoken {self.token}"}
        return self.zoho.answer(Request(API_PREFIX + endpoint, texts, headers), self.now_s)

    def read(self, endpoint: str = RECIPIENTS, **params: str | int) -> dict[str, Any]:
        return json_of(self.call(endpoint, **params))

    def page(self, **params: str | int) -> Answer:
        return self.call(RECIPIENTS, campaignkey=self.key(), action="sentcontacts", **params)

    def key(self, kind: Kind = Kind.NORMAL) -> str:
        return next(campaign.key for campaign in self.world.campaigns if campaign.kind is kind)

    def sheet(self, endpoint: str = RECIPIENTS) -> dict[str, Any]:
        sheet: dict[str, Any] = self.zoho.referee.report()["accounts"][CLIENT][endpoint]
        return sheet


def caller_of(**options: Any) -> Caller:
    return Caller(Zoho(Options(**({"world": WorldOptions(campaigns=2, recipients=45)} | options))))


def pages_of(caller: Caller, key: str, action: str, range_rows: int) -> Iterator[list[dict[str, str]]]:
    from_index = 1
    while rows := caller.read(campaignkey=key, action=action, range=range_rows, fromindex=from_index).get(
        "list_of_details",
    ):
        yield rows
        from_index += len(rows)
