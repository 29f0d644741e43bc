import re

import pytest
from conformance.keys import ODD_KEYS
from hypothesis import example, given
from hypothesis import strategies as st

from refscan.errors import InvalidURIError
from refscan.redact import redact
from refscan.uri import Location, parse, parse_ref, quote_key, scheme_of

# Everything that UTF-8 can hold: all but lone surrogates.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NO_SECRETS = st.sampled_from(["s3", "memory"])
SECRET = "q7SECRETq7"


class TestKeysAreKeptToTheByte:
    @given(NO_SECRETS, TEXT)
    @example("s3", "a?versionId=1")
    @example("s3", "/a//b/?#%2F ")
    @example("s3", "user:password@host?X-Amz-Signature=1&sig=2")
    def test_a_recorded_reference_gives_its_key_back(self, scheme, key):
        location = parse_ref(f"{scheme}://bucket/{key}")
        assert location == Location(scheme, "bucket", key, store=scheme)
        assert location.base + location.key == f"{scheme}://bucket/{key}"
        assert location.uri == f"{scheme}://bucket/{key}"

    @given(NO_SECRETS, TEXT, st.text("abcXYZ019._-+=~", min_size=1))
    def test_a_pin_is_what_stands_behind_the_key(self, scheme, key, version_id):
        location = parse(f"{scheme}://bucket/{key}?versionId={version_id}")
        assert (location.key, location.version_id) == (key, version_id)
        assert location.uri == f"{scheme}://bucket/{key}"

    @given(NO_SECRETS, TEXT)
    @example("s3", "odd?versionId=1")
    @example("s3", "odd?versionId=")
    def test_an_empty_pin_ends_any_key(self, scheme, key):
        location = parse(f"{scheme}://bucket/{key}?versionId=")
        assert (location.key, location.version_id) == (key, None)

    @given(NO_SECRETS, TEXT.filter(lambda key: "?versionId=" not in key))
    def test_without_a_pin_a_written_uri_is_a_recorded_one(self, scheme, key):
        assert parse(f"{scheme}://bucket/{key}") == parse_ref(f"{scheme}://bucket/{key}")

    @pytest.mark.parametrize("tail", ["?versionid=1", "?versionId=a/b", "?versionId=a&x=1", "?x=1&versionId=2", "#1"])
    def test_nothing_else_is_syntax(self, tail):
        assert parse(f"s3://bucket/key{tail}") == Location("s3", "bucket", f"key{tail}", store="s3")

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys(self, key):
        assert parse(f"s3://bucket/{key}?versionId=").key == key
        assert parse_ref(f"s3://bucket/{key}").key == key

    @given(TEXT.filter(lambda key: "\0" not in key))
    @example("100%")
    @example("a%41?b#c")
    def test_paths(self, key):
        location = parse(f"file:///{quote_key(key, 'file')}")
        assert location == Location("file", "", key, store="file")
        assert parse(location.uri) == location

    @pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/", "S3://bucket"])
    def test_a_whole_bucket(self, uri):
        assert parse(uri) == Location("s3", "bucket", "", store="s3")


class TestFiles:
    @pytest.mark.parametrize(
        ("uri", "key"),
        [
            ("file:///a/b", "a/b"),
            ("file://localhost/a/b", "a/b"),
            ("FILE:///a", "a"),
            ("file:///", ""),
            ("file:///a%20b%2Fc", "a b/c"),
            ("file:///%C3%A9", "é"),
            ("file:///q?x#y", "q?x#y"),
            ("file:///100%", "100%"),
            ("file:///a%zz", "a%zz"),
            ("file:////twice", "/twice"),
        ],
    )
    def test_percent_escapes_are_all_that_is_decoded(self, uri, key):
        assert parse(uri) == Location("file", "", key, store="file")

    @pytest.mark.parametrize("uri", ["file://a/b", "file://relative", "file://"])
    def test_a_relative_path_is_refused(self, uri):
        with pytest.raises(InvalidURIError, match="file:///PATH"):
            parse(uri)

    @pytest.mark.parametrize("uri", ["file:///%00", "file:///a%FF", "file:///%C3"])
    def test_what_no_name_can_be_is_refused(self, uri):
        with pytest.raises(InvalidURIError) as caught:
            parse(uri)
        assert caught.value.uri == uri


class TestHTTP:
    @pytest.mark.parametrize(
        ("uri", "container", "key", "userinfo"),
        [
            ("http://host/path?q=1&r=2", "host", "path?q=1&r=2", None),
            ("https://HOST:8443/a//b", "host:8443", "a//b", None),
            ("https://host", "host", "", None),
            ("https://host?q", "host", "?q", None),
            ("https://host/a#fragment", "host", "a", None),
            ("https://user:pass@host/a", "host", "a", "user:pass"),
            ("https://user:p@ss@host/a", "host", "a", "user:p@ss"),
            ("https://host/a@b", "host", "a@b", None),
            ("http://[::1]:80/a", "[::1]:80", "a", None),
        ],
    )
    def test_parts(self, uri, container, key, userinfo):
        location = parse(uri)
        assert (location.container, location.key, location.userinfo) == (container, key, userinfo)

    def test_the_login_is_never_shown(self):
        location = parse(f"https://user:{SECRET}@host/a")
        assert SECRET not in repr(location)
        assert location.uri == "https://host/a"
        assert location.base == "https://host/"

    @pytest.mark.parametrize("uri", ["http://", "http:///path", "https://user:x@/path", "http://a b/", "http://a\\b/"])
    def test_no_host(self, uri):
        with pytest.raises(InvalidURIError, match="names no host"):
            parse(uri)


class TestRefusals:
    @pytest.mark.parametrize("text", ["data/train", "/data/train", "./x", "", "C:\\x", "bucket/key", "://x", "1a://x"])
    def test_a_path_is_led_to_file(self, text):
        for read in (parse, parse_ref, scheme_of):
            with pytest.raises(InvalidURIError, match="file://") as caught:
                read(text)
            assert isinstance(caught.value, ValueError)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("uri", ["s3://", "s3:///key", "memory:///key"])
    def test_no_bucket(self, uri):
        with pytest.raises(InvalidURIError, match="names no bucket"):
            parse(uri)

    @pytest.mark.parametrize("name", ["a b", "-a", "a?b", "a#b", "é", "a\n"])
    def test_no_bucket_name(self, name):
        with pytest.raises(InvalidURIError, match="no valid bucket name"):
            parse(f"s3://{name}/key")

    @pytest.mark.parametrize("uri", ["s3://b/\udc80", "file:///\udcff", "https://h/\ud800", "odd://\udfff"])
    def test_what_is_not_utf8(self, uri):
        with pytest.raises(InvalidURIError, match="not valid UTF-8") as caught:
            parse(uri)
        str(caught.value).encode()
        caught.value.uri.encode()

    @given(TEXT)
    def test_any_text_is_read_or_refused(self, text):
        for uri in (text, f"s3:{text}", f"s3://{text}", f"http://{text}", f"file://{text}", f"odd://{text}"):
            try:
                location = parse(uri)
            except InvalidURIError:
                continue
            assert location.scheme == scheme_of(uri)
            redact(uri)


SIGNED = [
    f"https://acct.blob.core.windows.net/c/b?sv=2022-11-02&st=x&se=2026&sr=b&sp=r&sig={SECRET}",
    f"https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4&X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
    f"https://b.s3.amazonaws.com/k?x-amz-security-token={SECRET}",
    f"https://b.s3.amazonaws.com/k?AWSAccessKeyId={SECRET}&Signature={SECRET}&Expires=1",
    f"https://storage.googleapis.com/b/k?X-Goog-Signature={SECRET}&X-Goog-Credential={SECRET}",
    f"https://storage.googleapis.com/b/k?GoogleAccessId={SECRET}&Expires=1&Signature={SECRET}",
    f"https://d.cloudfront.net/k?Policy={SECRET}&Signature={SECRET}&Key-Pair-Id={SECRET}",
    f"https://host/k?token={SECRET}",
    f"https://host/k?access_token={SECRET}#fragment",
    f"https://host/k?API_KEY={SECRET}",
    f"https://host/k?%73ig={SECRET}",
    f"https://host/k#access_token={SECRET}",
    f"https://user:{SECRET}@host/k",
    f"https://{SECRET}@host/k",
    f"https://user:a@{SECRET}@host/k",
    f"weird://user:{SECRET}@host/k?sig={SECRET}",
    f"az://user:{SECRET}@container/k?sv=1&sig={SECRET}",
    f"postgresql://user:{SECRET}@host/db?password={SECRET}",
    f"https:/user:{SECRET}@host/k?sig={SECRET}",
    f"https://b.oss.aliyuncs.com/k?OSSAccessKeyId={SECRET}&Expires=1&Signature={SECRET}&security-token={SECRET}",
    f"https://b.oss.aliyuncs.com/k?x-oss-credential={SECRET}&x-oss-signature={SECRET}",
    f"https://b.cos.myqcloud.com/k?q-sign-algorithm=sha1&q-ak={SECRET}&q-signature={SECRET}",
    f"https://host/k?private_token={SECRET}",
    f"https://host/k?Access-Token={SECRET}",
    f"https://host/k?a=1;token={SECRET}",
    f"https://host/k?key=AIza{SECRET.ljust(35, 'x')}",
    f"https://host/k?whatever=eyJ{SECRET}.eyJ{SECRET}.{SECRET}",
    f"//user:{SECRET}@host/k",
    f"user:{SECRET}@host/k",
]


def read_or_refusal(text: str) -> tuple[Location | None, str]:
    """Return what was read, and all that is shown of it or of the error."""
    try:
        location = parse(text)
    except InvalidURIError as error:
        return None, f"{error} {error.uri}"
    return location, location.uri


class TestSecrets:
    @pytest.mark.parametrize("uri", SIGNED)
    def test_secrets_are_taken_out(self, uri):
        assert SECRET not in redact(uri)

    @pytest.mark.parametrize("uri", SIGNED)
    def test_taking_out_twice_takes_out_no_more(self, uri):
        assert redact(redact(uri)) == redact(uri)

    @pytest.mark.parametrize("uri", SIGNED)
    def test_no_error_shows_them(self, uri):
        broken = [uri, uri + "\udc80", uri.replace("//", "//\n", 1), uri.replace("://", ":", 1)]
        for text in [*broken, *(re.sub(r"^[a-z]+", scheme, uri) for scheme in ("s3", "memory", "file"))]:
            location, shown = read_or_refusal(text)
            assert f":{SECRET}@" not in shown
            if not text.startswith(("s3://", "memory://", "file://")):
                assert SECRET not in shown
            # The key itself must keep them: they are what opens the object.
            assert SECRET not in repr(location).replace(repr(location and location.key), "")

    @pytest.mark.parametrize(
        ("uri", "shown"),
        [
            ("https://host/a?q=1&token=x&r=2", "https://host/a?q=1&r=2"),
            ("https://host/a?sv=1&se=2", "https://host/a?sv=1&se=2"),
            ("https://host/a?sv=1&se=2&sig=3&keep=4", "https://host/a?keep=4"),
            ("https://host/a?sig=1", "https://host/a"),
            ("https://host/a?sig=1#part", "https://host/a#part"),
            ("https://user:pass@host:81/a?x", "https://host:81/a?x"),
            ("https://host/a@b?c=d@e", "https://host/a@b?c=d@e"),
            ("https://host:81/a@b", "https://host:81/a@b"),
            ("https://[::1]:81/a@b", "https://[::1]:81/a@b"),
            ("https://host/a?key=a/b;c=d&e;token=1", "https://host/a?key=a/b;c=d&e"),
            ("https://host/a?token=1;b=2", "https://host/a?b=2"),
            ("sftp://user:pass@host/a", "sftp://user@host/a"),
            ("s3://bucket/a@b?sig=1&X-Amz-Signature=2", "s3://bucket/a@b?sig=1&X-Amz-Signature=2"),
            ("file:///a@b?sig=1", "file:///a@b?sig=1"),
            ("memory://b/k?token=1", "memory://b/k?token=1"),
        ],
    )
    def test_the_rest_stays(self, uri, shown):
        assert redact(uri) == shown

    def test_a_password_may_hold_what_should_have_been_escaped(self):
        location, shown = read_or_refusal(f"https://user:{SECRET}/{SECRET}@host/k")
        assert location is None
        assert "https://host/k" in shown
        assert SECRET not in shown

    @given(NO_SECRETS, TEXT)
    def test_keys_of_object_stores_stay(self, scheme, key):
        assert redact(f"{scheme}://bucket/{key}") == f"{scheme}://bucket/{key}"


class TestLastSegment:
    @pytest.mark.parametrize(
        ("uri", "segment"),
        [
            ("s3://b/a/b.txt", "b.txt"),
            ("s3://b/a/b/", "b/"),
            ("s3://b/a//", "a//"),
            ("s3://b/", ""),
            ("s3://b/only", "only"),
            ("s3://b//", "/"),
            ("s3://b/a?b/c#d", "c#d"),
            ("https://h/a/b.csv?x=/y", "b.csv"),
            ("https://h/", ""),
            ("file:///a/100%25", "100%"),
        ],
    )
    def test_it_names_a_single_object(self, uri, segment):
        assert parse(uri).last_segment == segment
