from dataclasses import fields

import pytest

from refscan import AzureOptions, FsspecOptions, GCSOptions, HTTPOptions, S3Options
from refscan.sources.options import as_options, chosen, with_defaults

SECRET = "q7SECRETq7"


@pytest.mark.parametrize(
    "options",
    [
        AzureOptions(connection_string=SECRET, account_key=SECRET, sas_token=SECRET),
        HTTPOptions(headers={"Authorization": SECRET}),
        FsspecOptions(storage_options={"password": SECRET}),
        S3Options(session=SECRET),
    ],
)
def test_their_repr_shows_no_secret(options):
    assert SECRET not in repr(options)


@pytest.mark.parametrize("kind", [AzureOptions, FsspecOptions, GCSOptions, HTTPOptions, S3Options])
def test_they_are_keyword_only_and_never_change(kind):
    with pytest.raises(TypeError):
        kind("text")
    with pytest.raises(AttributeError):
        setattr(kind(), fields(kind)[0].name, "other")


@pytest.mark.parametrize("kind", [AzureOptions, GCSOptions, HTTPOptions, S3Options])
def test_no_connection_at_all_is_refused(kind):
    with pytest.raises(ValueError, match="connections must be at least 1"):
        kind(connections=0)


@pytest.mark.parametrize("kind", [AzureOptions, GCSOptions, S3Options])
@pytest.mark.parametrize("url", [f"https://host/?sv=1&sig={SECRET}", f"https://me:{SECRET}@host/path"])
def test_an_endpoint_with_a_secret_is_refused(kind, url):
    with pytest.raises(ValueError, match="neither a login nor a signature") as caught:
        kind(endpoint_url=url)
    assert SECRET not in str(caught.value)


def test_one_several_or_none():
    one, other = S3Options(region="a"), GCSOptions()
    assert as_options(None) == ()
    assert as_options(one) == (one,)
    assert as_options([one, other]) == (one, other)


@pytest.mark.parametrize(
    ("given", "error"), [(["s3"], TypeError), ([S3Options(), S3Options(region="x")], ValueError), (5, TypeError)]
)
def test_what_are_no_options_is_refused(given, error):
    with pytest.raises(error):
        as_options(given)


def test_those_of_a_call_win_over_those_of_the_run():
    of_run = (S3Options(region="run"), GCSOptions(anonymous=True))
    merged = with_defaults((S3Options(region="call"),), of_run)
    assert chosen(S3Options, merged).region == "call"
    assert chosen(GCSOptions, merged).anonymous
    assert chosen(HTTPOptions, merged) == HTTPOptions()
