"""What goes wrong with S3: told in one line, early, with what to try, and without secrets."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from typing import ClassVar

import anyio
import pytest
from conformance.suite import read, stat_rows
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from servers.scripted import Answer, Raw, listing, s3_error, versioning

from refscan.errors import AccessDeniedError, ObjectNotFoundError, RefscanError, StoreError
from refscan.sources.options import S3Options
from refscan.sources.s3 import S3Source

SECRET = "q7SECRETq7"
OPERATIONS = {
    "list": lambda source: source.list_page("dir/"),
    "probe": lambda source: source.probe("dir/", after=""),
    "stat": lambda source: stat_rows(source, ["dir/key"]),
    "open": lambda source: read(source, "dir/key"),
}
PAGE = {"Content-Type": "text/html"}


@pytest.fixture(autouse=True)
def secrets(aws):
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    aws.setenv("AWS_SESSION_TOKEN", f"{SECRET}-token")


async def told(operation: str, kind: type[RefscanError], source: S3Source | None = None) -> str:
    """Return the text of the error that an operation ends in."""
    async with source or S3Source("bucket") as asked:
        with pytest.raises(kind) as caught:
            await OPERATIONS[operation](asked)
    text = str(caught.value)
    assert type(caught.value) is kind
    assert text.startswith("s3://bucket/")
    assert caught.value.uri.startswith("s3://bucket/")
    assert len(text.splitlines()) == 1
    assert len(text) < 400
    assert SECRET not in text
    return text


def refusal(code: str, message: str = "as the test wants it", *, status: int = 403):
    return lambda _: s3_error(code, status=status, message=message)


# Codes and their messages: the S3 API reference, "Error responses", and of KMS its API reference, "Common errors".
CREDENTIALS = {
    "ExpiredToken": "renew them",
    "InvalidToken": "renew them",
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "clock",
}


class TestCredentials:
    @pytest.mark.parametrize("operation", ["list", "probe", "open"])
    @pytest.mark.parametrize("code", CREDENTIALS)
    async def test_what_to_do_about_them(self, scripted_s3, operation, code):
        async with scripted_s3(refusal(code, f"The provided token {SECRET}-token")) as server:
            text = await told(operation, AccessDeniedError)
        assert code in text
        assert CREDENTIALS[code] in text
        assert len(server.requests) == 1

    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_none(self, aws, scripted_s3, operation):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            aws.delenv(name)
        async with scripted_s3(refusal("AccessDenied")) as server:
            text = await told(operation, AccessDeniedError)
        assert "AWS_ACCESS_KEY_ID" in text
        assert not server.requests

    async def test_half_of_them(self, aws, scripted_s3):
        aws.delenv("AWS_SECRET_ACCESS_KEY")
        async with scripted_s3(refusal("AccessDenied")):
            with pytest.raises(AccessDeniedError, match="s3://bucket/: no usable credentials"):
                async with S3Source("bucket"):
                    pass

    async def test_a_head_that_says_no_more_than_400(self, scripted_s3):
        async with scripted_s3(refusal("ExpiredToken", status=400)):
            text = await told("stat", StoreError)
        assert "expired" in text
        assert "AWS_REGION" in text


class TestPermissions:
    @pytest.mark.parametrize(
        ("operation", "permission"),
        [("list", "s3:ListBucket"), ("probe", "s3:ListBucket"), ("stat", "s3:GetObject"), ("open", "s3:GetObject")],
    )
    async def test_the_request_names_it(self, scripted_s3, operation, permission):
        async with scripted_s3(refusal("AccessDenied")):
            text = await told(operation, AccessDeniedError)
        assert f"the permission {permission} is needed" in text
        assert ("without s3:ListBucket" in text) == (permission == "s3:GetObject")

    async def test_the_store_names_it(self, scripted_s3):
        said = (
            "User: arn:aws:iam::1:user/u is not authorized to perform: s3:ListBucket on resource: arn:aws:s3:::bucket"
        )
        async with scripted_s3(refusal("AccessDenied", said)):
            assert "the permission s3:ListBucket is needed" in await told("open", AccessDeniedError)

    @pytest.mark.parametrize(
        ("code", "said", "named"),
        [
            ("AccessDenied", "User: x is not authorized to perform: kms:Decrypt on the resource y", "kms:Decrypt"),
            ("AccessDenied", "not authorized to perform: kms:GenerateDataKey on z", "kms:GenerateDataKey"),
            ("KMS.DisabledException", "arn:aws:kms:us-east-1:1:key/x is disabled.", "kms:Decrypt"),
        ],
    )
    async def test_that_of_the_key(self, scripted_s3, code, said, named):
        async with scripted_s3(refusal(code, said)):
            text = await told("open", AccessDeniedError)
        assert f"the permission {named} is needed for the key" in text


class TestObjects:
    @pytest.mark.parametrize("operation", ["list", "probe", "open"])
    async def test_a_missing_bucket(self, scripted_s3, operation):
        async with scripted_s3(refusal("NoSuchBucket", status=404)):
            assert "no such bucket" in await told(operation, ObjectNotFoundError)

    async def test_a_missing_object(self, scripted_s3):
        async with scripted_s3(refusal("NoSuchKey", status=404)):
            assert "no such object" in await told("open", ObjectNotFoundError)

    async def test_an_archived_object(self, scripted_s3):
        said = "The operation is not valid for the object's storage class"
        async with scripted_s3(refusal("InvalidObjectState", said)) as server:
            text = await told("open", StoreError)
        assert "archived; restore it first" in text
        assert len(server.requests) == 1


class TestNoS3:
    """Whatever else listens there."""

    ANSWERS: ClassVar = {
        "a page": Answer(b"<!DOCTYPE html><html><p>Sign in</html>", 200, PAGE),
        "a page in XML": Answer(b'<?xml version="1.0"?>\n<!-- x --><html xmlns="x"><p/></html>', 200, PAGE),
        "JSON": Answer(b'{"status": "ok"}'),
        "text": Answer(b"It works!"),
        "missing page": Answer(b"<html><p>404</html>", 404, PAGE),
        "forbidden page": Answer(b"<html><p>403</html>", 403, PAGE),
        "not allowed": Answer(b"<html><p>405</html>", 405, PAGE),
        "text that says 404": Answer(b"404 page not found\n", 404, {"Content-Type": "text/plain"}),
        "another protocol": Raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    }

    @pytest.mark.parametrize("operation", ["list", "probe"])
    @pytest.mark.parametrize("answer", ANSWERS)
    async def test_it_is_not_taken_for_a_listing(self, scripted_s3, answer, operation):
        async with scripted_s3(lambda _: self.ANSWERS[answer]) as server:
            text = await told(operation, StoreError)
        assert "not as S3 does" in text
        assert "AWS_S3_ENDPOINT_URL" in text
        assert len(server.requests) == 1

    @pytest.mark.parametrize(
        "answer", ["a page", "JSON", "missing page", "forbidden page", "not allowed", "another protocol"]
    )
    async def test_it_is_not_taken_for_an_object(self, scripted_s3, answer):
        async with scripted_s3(lambda _: self.ANSWERS[answer]) as server:
            assert "not as S3 does" in await told("stat", StoreError)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("answer", ["missing page", "forbidden page", "text that says 404", "another protocol"])
    async def test_nothing_is_read_from_it(self, scripted_s3, answer):
        async with scripted_s3(lambda _: self.ANSWERS[answer]):
            assert "not as S3 does" in await told("open", StoreError)

    async def test_a_login_page_behind_a_redirect(self, scripted_s3):
        def script(request):
            login = request.target.startswith("/login")
            return self.ANSWERS["a page"] if login else Answer(b"", 302, {"Location": "/login"})

        async with scripted_s3(script):
            assert "not as S3 does" in await told("list", StoreError)


class TestNobodyThere:
    """The first contact is given up early: after two attempts, or nine seconds without a word."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_nothing_listens(self, aws, operation, scheme):
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            endpoint = f"{scheme}://127.0.0.1:{reserved.getsockname()[1]}"
            aws.setenv("AWS_S3_ENDPOINT_URL", endpoint)
            source = S3Source("bucket")
            text = await told(operation, StoreError, source)
        assert f"cannot be reached ({endpoint})" in text
        assert source.requests == 2

    async def test_no_such_host(self, aws):
        aws.setenv("AWS_S3_ENDPOINT_URL", "http://no-such-host.invalid:9000")
        source = S3Source("bucket")
        assert "cannot be reached (http://no-such-host.invalid:9000)" in await told("list", StoreError, source)
        assert source.requests == 2

    async def test_no_answer(self):
        """At once, since each takes its nine seconds: none accepts, or one accepts and says nothing."""

        async def check(endpoint: str, operation: str) -> None:
            source = S3Source("bucket", S3Options(endpoint_url=endpoint))
            assert f"no answer in time; check the endpoint, or try again ({endpoint})" in await told(
                operation, StoreError, source
            )
            assert source.requests <= 2

        with socket.socket() as full, socket.socket() as silent, socket.socket() as first, socket.socket() as second:
            for server, backlog in ((full, 0), (silent, 100)):
                server.bind(("127.0.0.1", 0))
                server.listen(backlog)
            # One that waits to be accepted, and one that may not even: the next is not answered at all.
            for client in (first, second):
                client.setblocking(False)
                client.connect_ex(full.getsockname())
            async with anyio.create_task_group() as group:
                for server in (full, silent):
                    for scheme in ("http", "https"):
                        endpoint = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
                        group.start_soon(check, endpoint, "list")
                        group.start_soon(check, endpoint, "stat")

    async def test_a_proxy_that_is_not_there(self, aws):
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            aws.setenv("https_proxy", f"http://user:{SECRET}@127.0.0.1:{reserved.getsockname()[1]}")
            text = await told("list", StoreError)
        assert "HTTPS_PROXY" in text

    async def test_connections_that_are_closed_at_once(self, scripted_s3):
        source = S3Source("bucket")
        async with scripted_s3(lambda _: Raw(b"")):
            assert "the connection was closed" in await told("open", StoreError, source)
        assert source.requests == 4


class TestTLS:
    @pytest.fixture
    async def server(self, aws, tmp_path):
        """An https server of an empty bucket, whose certificate nobody has signed; gives the certificate's path."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        path = tmp_path / "server.pem"
        path.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(pem)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(path)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            body = (versioning(None) if b"versioning" in head.split(b"\r\n")[0] else listing([])).body
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
            aws.setenv("AWS_S3_ENDPOINT_URL", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            yield path

    @pytest.mark.usefixtures("server")
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_a_certificate_that_nobody_signed(self, operation):
        source = S3Source("bucket")
        text = await told(operation, StoreError, source)
        assert "TLS failed" in text
        assert "AWS_CA_BUNDLE" in text
        assert source.requests == 1

    async def test_one_that_is_trusted(self, aws, server):
        aws.setenv("AWS_CA_BUNDLE", str(server))
        async with S3Source("bucket") as source:
            assert (await source.list_page("")).next_after is None

    @pytest.mark.usefixtures("server")
    async def test_a_bundle_that_is_not_there(self, aws, tmp_path):
        aws.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))
        assert "AWS_CA_BUNDLE" in await told("list", StoreError)


def busy_at_first(times: int, busy):
    """Answer each request that way at first, so often, and then as it should be."""
    seen: dict[str, int] = {}

    def script(request):
        seen[request.target] = seen.get(request.target, 0) + 1
        if seen[request.target] <= times:
            return busy
        if request.asks_for_versioning:
            return versioning(None)
        return listing(["dir/key"]) if request.lists_objects else Answer(b"data", headers={"ETag": '"x"'})

    return script


class TestBusyStores:
    BUSY: ClassVar = {
        "SlowDown": s3_error("SlowDown", status=503),
        "500": s3_error("InternalError", status=500),
        "502": Answer(b"<html>Bad gateway</html>", 502, PAGE),
        "429": Answer(b"", 429),
        "code alone": s3_error("SlowDown", status=400),
        "asks to wait": Answer(s3_error("SlowDown").body, 503, {"Retry-After": "1"}),
        "error in a success": Answer(s3_error("InternalError").body),
    }

    @pytest.mark.parametrize("operation", ["list", "open"])
    @pytest.mark.parametrize("busy", [name for name in BUSY if name != "error in a success"])
    async def test_it_is_asked_again(self, scripted_s3, operation, busy):
        async with scripted_s3(busy_at_first(1, self.BUSY[busy])) as server, S3Source("bucket") as source:
            assert await OPERATIONS[operation](source)
            assert source.requests == len(server.requests)

    async def test_an_error_in_a_success(self, scripted_s3):
        """Source: the S3 API reference, ``ListObjectsV2``: a 200 may hold an error."""
        async with scripted_s3(busy_at_first(1, self.BUSY["error in a success"])), S3Source("bucket") as source:
            assert await source.probe("dir/", after="") == "dir/key"

    async def test_connections_that_break_later(self, scripted_s3):
        """Once it has answered, an endpoint is right, and worth as many attempts as a busy one."""

        def script(request):
            if request.target.endswith("first"):
                return Answer(b"data", headers={"ETag": '"x"'})
            return later(request)

        # The HTTP client itself asks twice each time.
        later = busy_at_first(2 * 4, Raw(b""))
        async with scripted_s3(script), S3Source("bucket") as source:
            await read(source, "first")
            assert await read(source, "dir/key") == b"data"
        assert source.requests == 1 + 5

    async def test_a_storm(self, scripted_s3):
        """Far more requests are slowed down at once than the SDK's own budget of retries lets be sent again."""
        found = []
        script = busy_at_first(1, self.BUSY["SlowDown"])
        async with scripted_s3(script) as server, S3Source("bucket") as source, anyio.create_task_group() as group:

            async def ask(key: str) -> None:
                found.extend(await stat_rows(source, [key]))

            for number in range(200):
                group.start_soon(ask, f"key{number}")
        assert len(found) == 200
        assert len(server.requests) == 400

    async def test_a_storm_without_end(self, scripted_s3):
        texts = []

        async def ask(operation: str) -> None:
            texts.append(await told(operation, StoreError))

        async with scripted_s3(lambda _: self.BUSY["SlowDown"]) as server, anyio.create_task_group() as group:
            for operation in OPERATIONS:
                group.start_soon(ask, operation)
        assert len(texts) == len(OPERATIONS)
        assert all("the store is busy" in text for text in texts)
        assert len(server.requests) == 4 * 5

    async def test_a_wait_that_is_too_long_is_not_begun(self, scripted_s3):
        answer = Answer(self.BUSY["SlowDown"].body, 503, {"Retry-After": "3600"})
        async with scripted_s3(lambda _: answer) as server:
            assert "the store is busy" in await told("open", StoreError)
        assert len(server.requests) == 1


class TestSecrets:
    @pytest.mark.parametrize(
        "said",
        [
            f"see https://bucket/key?X-Amz-Security-Token={SECRET}&amp;X-Amz-Signature={SECRET}",
            f"http://user:{SECRET}@proxy refused",
            f"Signature={SECRET}, Credential={SECRET}/x",
        ],
    )
    async def test_what_a_store_repeats(self, scripted_s3, said):
        async with scripted_s3(refusal("InvalidArgument", said, status=400)):
            text = await told("open", StoreError)
        assert "InvalidArgument" in text

    async def test_what_a_store_goes_on_about(self, scripted_s3):
        async with scripted_s3(refusal("InvalidArgument", "word " * 1_000, status=400)):
            assert "..." in await told("open", StoreError)
