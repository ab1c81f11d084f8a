"""The section [publish]: what a place to publish to is, and where credentials may come from."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from harvester.config import load
from harvester.errors import ConfigError
from harvester.publish_settings import PublishSettings

ACCOUNT = "[accounts.acme]\nclient_id = 'x'\nclient_secret = 'y'\nrefresh_token = 'z'\n"


def config(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("url", ["s3://lake", "s3://lake/a/b", "gs://lake/x", "az://box/x", "file:///srv/lake"])
def test_places_are_taken(url: str) -> None:
    """A bucket with or without a prefix, a container, a folder; a slash at the end means nothing."""
    assert PublishSettings(url=f"{url}/").url == url


@pytest.mark.parametrize(
    "url",
    [
        *("lake", "http://lake/x", "s3://", "s3://key:canary@lake/x", "s3://lake/x?canary=1", "s3://lake/x#canary"),
        *("s3://lake/../x", "s3://lake//x", "s3://lake/a b", "file://host/x", "file:///", "memory:///x", "s3://[x"),
    ],
)
def test_other_urls_are_refused_and_not_repeated(url: str) -> None:
    """Before an @ or behind a ? may stand a secret."""
    with pytest.raises(ValidationError) as caught:
        PublishSettings(url=url)

    assert "is no place to publish to" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_an_output_that_is_a_url_is_published_from_the_default_folder(tmp_path: Path) -> None:
    """The short form: files go to `data` beside the configuration, wherever it is started from."""
    settings = load(config(tmp_path, f"output = 's3://lake/zoho'\n{ACCOUNT}"))

    assert settings.publish.url == "s3://lake/zoho"
    assert settings.output == tmp_path / "data"


def test_two_places_are_one_too_many(tmp_path: Path) -> None:
    """Which of them is meant cannot be told."""
    text = f"output = 's3://lake/zoho'\n{ACCOUNT}[publish]\nurl = 's3://pond'"

    with pytest.raises(ConfigError, match=r"publish\.url is given as well"):
        load(config(tmp_path, text))


def test_the_environment_may_name_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every key: the variable wins."""
    monkeypatch.setenv("HARVESTER_OUTPUT", "gs://lake/zoho")

    assert load(config(tmp_path, f"output = 'elsewhere'\n{ACCOUNT}")).publish.url == "gs://lake/zoho"


@pytest.mark.parametrize("place", ["data", "data/lake", "state/x", ""])
def test_a_folder_to_publish_to_lies_apart(tmp_path: Path, place: str) -> None:
    """Published into the output folder, a date would be its own copy."""
    text = f"{ACCOUNT}[publish]\nurl = 'file://{tmp_path}/{place}'"

    with pytest.raises(ConfigError, match="lie in one another"):
        load(config(tmp_path, text))


def test_credentials_are_lines_of_a_private_file(tmp_path: Path) -> None:
    """Blank lines and comments mean nothing; no value shows in a repr."""
    file = tmp_path / "bucket"
    file.write_text("# the lake\n\nAWS_ACCESS_KEY_ID = canary-1\nAWS_SECRET_ACCESS_KEY=canary=2\n")
    file.chmod(0o600)

    settings = PublishSettings(url="s3://lake", credentials_file=file)

    assert settings.credentials() == {"AWS_ACCESS_KEY_ID": "canary-1", "AWS_SECRET_ACCESS_KEY": "canary=2"}
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    "line", ["AWS_ENDPOINT=canary", "canary", "AWS_ACCESS_KEY_ID=", "AZURE_STORAGE_ACCOUNT_KEY=canary"]
)
def test_other_lines_are_refused_and_not_repeated(tmp_path: Path, line: str) -> None:
    """A file of credentials leads nowhere else, and a wrong line may hold a secret."""
    file = tmp_path / "bucket"
    file.write_text(f"AWS_SESSION_TOKEN=x\n{line}\n")
    file.chmod(0o600)

    with pytest.raises(ValueError, match=r"bucket:2: is no NAME=value; for this url give AWS_ACCESS_KEY_ID") as caught:
        PublishSettings(url="s3://lake", credentials_file=file).credentials()

    assert "canary" not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The same rule as for every secret."""
    file = tmp_path / "bucket"
    file.write_text("AWS_SESSION_TOKEN=x")
    file.chmod(0o640)

    with pytest.raises(ValidationError, match="chmod 600"):
        PublishSettings(url="s3://lake", credentials_file=file)
