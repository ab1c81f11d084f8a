"""What an object store refuses, from the library's words to what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.exceptions import (
    AlreadyExistsError,
    GenericError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from harvester.cloud.refusals import Meaning, meaning_of, opening_trouble, trouble_of
from harvester.errors import ConfigError, CredentialsError, DiskError, HarvestError, StoppedError

WHERE = "s3://lake/zoho"


def answered(status: int, code: str = "") -> str:
    body = f"<Error><Code>{code}</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>" if code else ""
    head = "Generic S3 error: Error performing PUT https://x/lake/k in 1ms"
    return f"{head} - Server returned non-2xx status code: {status} X: {body}"


CASES = [
    (FileNotFoundError(answered(404)), Meaning.ABSENT, ConfigError),
    (FileNotFoundError(answered(404, "NoSuchBucket")), Meaning.ENDING, ConfigError),
    (FileNotFoundError(answered(404, "ContainerNotFound")), Meaning.ENDING, ConfigError),
    (AlreadyExistsError(answered(412, "PreconditionFailed")), Meaning.MOVED, StoppedError),
    (AlreadyExistsError(answered(409, "ConditionalRequestConflict")), Meaning.MOVED, StoppedError),
    (PreconditionError(answered(412)), Meaning.MOVED, StoppedError),
    (NotImplementedError("`put_opts` with mode `PutMode::Update`"), Meaning.NO_CONDITIONS, StoppedError),
    (NotSupportedError("no"), Meaning.NO_CONDITIONS, StoppedError),
    (GenericError(answered(501, "NotImplemented")), Meaning.NO_CONDITIONS, StoppedError),
    (PermissionDeniedError(answered(403, "AccessDenied")), Meaning.ENDING, CredentialsError),
    (UnauthenticatedError(answered(401)), Meaning.ENDING, CredentialsError),
    (GenericError(answered(400, "ExpiredToken")), Meaning.ENDING, CredentialsError),
    (GenericError("Generic S3 error: PUT http://169.254.169.254/latest/api/token"), Meaning.ENDING, CredentialsError),
    (GenericError("Generic GCS error: GCP credential error: Unable to decode"), Meaning.ENDING, CredentialsError),
    (GenericError("Generic MicrosoftAzure error: Account must be specified"), Meaning.ENDING, CredentialsError),
    (GenericError(answered(400, "AuthorizationHeaderMalformed")), Meaning.ENDING, ConfigError),
    (GenericError(answered(413, "EntityTooLarge")), Meaning.ENDING, ConfigError),
    (GenericError("Generic S3 error: Received redirect without LOCATION"), Meaning.ENDING, ConfigError),
    (GenericError("Generic S3 error: HTTP error: builder error"), Meaning.ENDING, ConfigError),
    (GenericError("Generic LocalFileSystem error: /x#1: No space (os error 28)"), Meaning.ENDING, DiskError),
    (GenericError("Generic S3 error: HTTP error: error sending request"), Meaning.AGAIN, StoppedError),
    (GenericError(answered(429)), Meaning.AGAIN, StoppedError),
    (GenericError(answered(500, "InternalError")), Meaning.AGAIN, StoppedError),
    (GenericError(answered(503, "SlowDown")), Meaning.AGAIN, StoppedError),
    (GenericError(answered(400, "RequestTimeout")), Meaning.AGAIN, StoppedError),
]  # fmt: skip


@pytest.mark.parametrize(("error", "meaning", "kind"), CASES, ids=[str(error)[-40:] for error, _, _ in CASES])
def test_each_refusal_has_one_meaning_and_one_exit_code(error: Exception, meaning: Meaning, kind: type) -> None:
    """Who acts follows from it: nobody (75), the operator (2), whoever gives rights (4), whoever owns the disk (7)."""
    trouble = trouble_of(error, WHERE)

    assert meaning_of(error) is meaning
    assert type(trouble) is kind
    assert trouble.message.startswith(WHERE)
    assert trouble.remedy


@pytest.mark.parametrize("error", [error for error, _, _ in CASES], ids=[str(error)[-40:] for error, _, _ in CASES])
def test_S_01_the_words_of_the_store_are_not_repeated(error: Exception) -> None:
    """Status and short code alone come through: an answer can hold the name of a key, a path that of a contact."""
    told = str(trouble_of(error, WHERE))

    assert "AKIASECRET" not in told
    assert "https://x" not in told


@given(st.text(max_size=300), st.sampled_from([GenericError, FileNotFoundError, PermissionDeniedError, ValueError]))
def test_any_other_words_are_refused_too(words: str, kind: type[Exception]) -> None:
    """Whatever the library says there is a meaning, and a trouble with an exit code."""
    assert meaning_of(kind(words)) in Meaning
    assert isinstance(trouble_of(kind(words), WHERE), HarvestError)


@pytest.mark.parametrize("what", ["Generic S3 error: Missing SecretAccessKey", "something else"])
def test_what_keeps_a_store_from_being_opened_is_for_a_person(what: str) -> None:
    """Nothing was sent: the same command would end in the same way."""
    assert isinstance(opening_trouble(GenericError(what), WHERE), CredentialsError)
