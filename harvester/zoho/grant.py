"""Login: the code that an operator makes at Zoho's API console, exchanged for a refresh token."""

import re
from dataclasses import dataclass, field

from harvester.errors import CredentialsError, StoppedError
from harvester.zoho.auth import SCOPE, TOKEN_PATH
from harvester.zoho.envelopes import read_document
from harvester.zoho.replies import Grant, RefusalReason, TokenRefusal, read_token
from harvester.zoho.wire import Transport, TransportError

_REFRESH_TOKEN = re.compile(r"[!-~]{1,4096}")
"""The shape of every secret that the settings take back from a file."""

_NEW_CODE = "Make a new code at the API console of the account's data centre"
_REMEDIES = {
    RefusalReason.REFRESH_TOKEN: f"{_NEW_CODE}, with the scope {SCOPE}: this one is wrong, was used before, or is older"
    " than the three minutes that a code lives unless a longer time is chosen.",
    RefusalReason.CLIENT: "Check client_id and data_center (invalid_client: a client of one data centre is unknown in"
    " the others) or client_secret (invalid_client_secret).",
    RefusalReason.HOST: "Check accounts_url and data_center: this is not the accounts host.",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is exchanged, and where; `repr` tells no secret.

    Attributes:
        account: the account's name, for messages.
        accounts_url: the accounts host, without a path; of the data centre in which the client was made.
        client_id: of the self client.
        client_secret: likewise.
        code: good once, and for three minutes unless a longer time was chosen.
        call_timeout_s: bound of the one request, in seconds.
    """

    account: str
    accounts_url: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    code: str = field(repr=False)
    call_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Login:
    """A refresh token, good until it is revoked, and the access token that came with it."""

    refresh_token: str = field(repr=False)
    grant: Grant


async def exchange(http: Transport, asked: Exchange) -> Login:
    """Send one request, all of its secrets in the form body, and return the refresh token that it brings.

    Raises:
        CredentialsError: the accounts host refuses, or gives no refresh token; a person must act.
        StoppedError: no usable answer came, or too many tokens were asked for; later it may work.

    Source: the OAuth pages of the developer help (self client): no redirect_uri is needed, refusals come with HTTP 200,
    and throttling with HTTP 400 "Access Denied".
    """
    try:
        reply = await http.post(
            f"{asked.accounts_url}{TOKEN_PATH}",
            params={},
            headers={},
            timeout_s=asked.call_timeout_s,
            form={
                "grant_type": "authorization_code",
                "client_id": asked.client_id,
                "client_secret": asked.client_secret,
                "code": asked.code,
            },
        )
    except TransportError as error:
        used_up = f" {_NEW_CODE}: this one may be used up." if error.is_sent else " The code is not used up yet."
        trouble = StoppedError(f"{asked.account}: no answer to the exchange ({error.message}).", f"Try again.{used_up}")
        raise trouble from None
    grant = read_token(reply)
    if isinstance(grant, TokenRefusal):
        raise _refused(asked.account, grant)
    refresh_token = read_document(reply.body).get("refresh_token")
    if not isinstance(refresh_token, str) or not _REFRESH_TOKEN.fullmatch(refresh_token):
        raise CredentialsError(
            f"{asked.account}: the answer has an access token and no refresh token.",
            f"{_NEW_CODE} (a self client's, or one asked for with access_type=offline and prompt=consent); a user has"
            " at most 20 refresh tokens for a client: revoke some that are not used.",
        )
    return Login(refresh_token, grant)


def _refused(account: str, refusal: TokenRefusal) -> CredentialsError | StoppedError:
    where = f"{account}: the code was not exchanged ({refusal.message})."
    if refusal.reason is RefusalReason.THROTTLED:
        return StoppedError(where, "Too many tokens were asked for: wait 10 minutes, then try again with a new code.")
    if refusal.reason is RefusalReason.UNCLEAR:
        return StoppedError(where, f"Try again later. {_NEW_CODE}: this one may be used up.")
    return CredentialsError(where, _REMEDIES[refusal.reason])
