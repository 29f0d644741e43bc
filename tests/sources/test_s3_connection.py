"""Answers as they come over a connection: read strictly, whatever pieces they come in, and however they end."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refscan.sources.s3 import connection
from refscan.sources.s3.answer import read_head
from refscan.sources.s3.chunks import Chunks
from refscan.sources.s3.connection import Connection, UnansweredError
from refscan.sources.s3.pool import Pool

OK = b"HTTP/1.1 200 OK\r\n"


def with_length(body: bytes, more: bytes = b"") -> bytes:
    return OK + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def in_chunks(parts: list[bytes], extension: bytes = b"") -> bytes:
    lines = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in (*filter(None, parts), b"")]
    return OK + b"transfer-encoding: Chunked\r\n\r\n" + b"".join(lines)


class Wire(asyncio.Transport):
    """Takes what is sent, and ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True


class Talk:
    """A connection, and what its other side does."""

    def __init__(self) -> None:
        self.alive: set[Connection] = set()
        self.spare: list[bytearray] = []
        self.connection = Connection(self.spare, self.alive)
        self.wire = Wire()
        self.connection.connection_made(self.wire)

    def ask(self, *, bodiless: bool = False) -> asyncio.Future:
        return self.connection.send(b"request", bodiless=bodiless)

    def say(self, data: bytes, most: int = 1 << 30) -> None:
        while data and not self.wire.aborted:
            buffer = self.connection.get_buffer(-1)
            size = min(len(buffer), len(data), most)
            assert size
            buffer[:size] = data[:size]
            self.connection.buffer_updated(size)
            data = data[size:]


class TestPieces:
    @given(
        st.binary(max_size=40_000) | st.just(b"<Key/>\r\n\r\n" * 9_000),
        st.lists(st.integers(0, 40_000), max_size=8),
        st.lists(st.integers(0, 100), max_size=3),
        st.booleans(),
        st.booleans(),
    )
    def test_the_answer_is_the_same_in_whatever_pieces_it_comes(self, body, cuts, early, chunked, twice):
        """Every split of the bytes into reads, those inside of the head too, and a second answer behind the first."""

        async def run() -> None:
            talk = Talk()
            if chunked:
                edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
                data = in_chunks([body[a:b] for a, b in pairwise(edges)], b" ;x=y")
            else:
                data = with_length(body, b"X-Odd:\t a: b \r\nEMPTY:\r\n")
            for _ in range(1 + twice):
                answer = talk.ask()
                places = [0, *sorted({min(cut, len(data)) for cut in (*cuts, *early)}), len(data)]
                for begin, end in pairwise(places):
                    assert not answer.done() or begin == len(data)
                    talk.say(data[begin:end])
                found = answer.result()
                assert (found.status, found.body) == (200, body)
                assert type(found.body) is bytes
                assert chunked or (found.headers["x-odd"], found.headers["empty"]) == ("a: b", "")
                assert talk.connection.is_open

        asyncio.run(run())

    async def test_byte_by_byte(self):
        talk = Talk()
        for data in (with_length(b"body"), in_chunks([b"bo", b"dy"])):
            answer = talk.ask()
            talk.say(data, most=1)
            assert answer.result().body == b"body"

    async def test_buffers_are_handed_on_and_never_reach_an_answer(self):
        first, second = Talk(), Talk()
        second.connection._spare = first.spare
        answer = first.ask()
        first.say(with_length(b"a" * 100_000))
        assert len(first.spare) == 1
        other = second.ask()
        second.say(with_length(b"b" * 100_000))
        assert answer.result().body == b"a" * 100_000
        assert other.result().body == b"b" * 100_000
        assert len(first.spare) == 1
        answer, other = first.ask(), second.ask()
        first.say(with_length(b"c" * 100_000)[:50_000])
        second.say(with_length(b"d" * 100_000))
        first.say(with_length(b"c" * 100_000)[50_000:])
        assert answer.result().body == b"c" * 100_000
        assert other.result().body == b"d" * 100_000

    @pytest.mark.parametrize("status", [b"200", b"404"])
    async def test_the_answer_to_a_head_has_no_body(self, status):
        talk = Talk()
        answer = talk.ask(bodiless=True)
        talk.say(with_length(b"").replace(b"200", status).replace(b"Length: 0", b"Length: 123456789"))
        assert (answer.result().status, answer.result().body) == (int(status), b"")
        assert answer.result().headers["content-length"] == "123456789"
        assert talk.connection.is_open


class TestEnds:
    @pytest.mark.parametrize("said", [b"close", b"Close", b"upgrade, close", b"nonsense"])
    async def test_a_connection_that_is_to_be_closed_is(self, said):
        talk = Talk()
        answer = talk.ask()
        talk.say(with_length(b"body", b"coNNection: " + said + b"\r\n"))
        assert answer.result().body == b"body"
        assert not talk.connection.is_open
        assert talk.wire.aborted

    async def test_what_comes_behind_an_answer_ends_the_connection(self):
        talk = Talk()
        answer = talk.ask()
        talk.say(with_length(b"body") + with_length(b"smuggled"))
        assert answer.result().body == b"body"
        assert talk.wire.aborted

    async def test_so_does_what_nobody_has_asked_for(self):
        talk = Talk()
        answer = talk.ask()
        talk.say(with_length(b"body"))
        assert not talk.wire.aborted
        talk.say(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert talk.wire.aborted
        assert answer.result().body == b"body"

    @pytest.mark.parametrize("end", range(1, len(in_chunks([b"bo", b"dy"]))))
    async def test_half_an_answer_is_none(self, end):
        talk = Talk()
        answer = talk.ask()
        talk.say(in_chunks([b"bo", b"dy"])[:end])
        talk.connection.eof_received()
        talk.connection.connection_lost(None)
        with pytest.raises(ConnectionError, match="cut off"):
            answer.result()
        assert not talk.alive
        assert talk.connection.ended.done()

    @pytest.mark.parametrize("error", [None, ConnectionResetError()])
    async def test_no_answer_at_all_is_told_from_half_a_one(self, error):
        talk = Talk()
        answer = talk.ask()
        talk.connection.connection_lost(error)
        with pytest.raises(UnansweredError):
            answer.result()

    @pytest.mark.parametrize(
        "wrong",
        [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            b"HTTP/1.1 100 Continue\r\n\r\n" + with_length(b"body"),
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + with_length(b"body"),
            b"HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nbody",
            b"HTTP/1.1 20\r\nContent-Length: 4\r\n\r\nbody",
            b"\r\n\r\n" + with_length(b"body"),
            OK + b"\r\nbody",
            OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
            OK + b"Content-Length: 4, 4\r\n\r\nbody",
            OK + b"Content-Length: +4\r\n\r\nbody",
            OK + b"Content-Length: -4\r\n\r\nbody",
            OK + b"Content-Length:\r\n\r\nbody",
            OK + b"Content-Length : 4\r\n\r\nbody",
            OK + b"X : a\r\nContent-Length: 4\r\n\r\nbody",
            OK + b"X\t: a\r\nContent-Length: 4\r\n\r\nbody",
            OK + b"X: a\r\n b: c\r\nContent-Length: 4\r\n\r\nbody",
            OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            OK + b"X: a\r\n b\r\nContent-Length: 4\r\n\r\nbody",
            OK + b"X: a\nContent-Length: 4\r\n\r\nbody",
            OK + b"X: a\rContent-Length: 4\r\n\r\nbody",
            OK + b"X\r\nContent-Length: 4\r\n\r\nbody",
            OK + b": x\r\nContent-Length: 4\r\n\r\nbody",
            OK + "X: é\r\nContent-Length: 4\r\n\r\nbody".encode(),
            OK + b"X: " + b"x" * (1 << 17),
            OK + b"Transfer-Encoding: chunked\r\n\r\nbody\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody!!\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n123456789\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nTrailer: x\r\n\r\n",
            OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 1_000,
        ],
    )
    async def test_what_is_unusual_is_refused(self, wrong):
        talk = Talk()
        answer = talk.ask()
        talk.say(wrong)
        with pytest.raises(ValueError, match=r"^[ \w./'-]+"):
            answer.result()
        assert talk.wire.aborted

    async def test_a_length_is_no_reason_to_take_memory(self):
        talk = Talk()
        talk.ask()
        talk.say(OK + b"Content-Length: 99999999999999\r\n\r\n" + b"x" * 100_000)
        assert len(talk.connection.get_buffer(-1)) < 1_000_000

    @pytest.mark.parametrize("head", [b"Content-Length: 999999\r\n", b"Transfer-Encoding: chunked\r\n"])
    async def test_an_answer_far_too_long_is_refused(self, monkeypatch, head):
        monkeypatch.setattr(connection, "_LARGEST_ANSWER", 100_000)
        talk = Talk()
        answer = talk.ask()
        talk.say(OK + head + b"\r\nFFFFF\r\n" + b"x" * 200_000)
        with pytest.raises(ValueError, match="far more"):
            answer.result()

    async def test_given_up_it_fails_at_once(self):
        talk = Talk()
        answer = talk.ask()
        talk.connection.give_up(TimeoutError("nothing came"))
        with pytest.raises(TimeoutError):
            answer.result()
        assert talk.wire.aborted
        talk.connection.connection_lost(None)


async def test_silence_is_counted_from_the_last_byte():
    """Ten times the silence that is allowed in all, and never so much at once; then so much at once."""
    talk = Talk()
    pool = Pool("host", 1, tls=None, limit=1, connect_timeout=1, silence=60.0)
    pool._busy.add(talk.connection)
    answer = talk.ask()
    for byte in with_length(b"x" * 100)[:-1]:
        talk.connection.heard -= 40
        pool._listen()
        assert not answer.done()
        assert pool._watch.when() == talk.connection.heard + 60
        talk.say(bytes([byte]))
    talk.connection.heard -= 60
    pool._listen()
    with pytest.raises(TimeoutError):
        answer.result()
    assert pool._watch is None


class TestHeads:
    @pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 O K"])
    def test_the_reason_may_be_anything(self, first):
        head = read_head(first + b"\r\ncontent-LENGTH:7", bodiless=False)
        assert head == (200, {"content-length": "7"}, 7, False)

    def test_the_first_of_two_headers_counts(self):
        head = read_head(OK + b"Vary: a\r\nContent-Length: 0\r\nvary: b", bodiless=False)
        assert head.headers["vary"] == "a"

    @pytest.mark.parametrize("status", [204, 304])
    def test_some_have_no_body(self, status):
        assert read_head(b"HTTP/1.1 %d No" % status, bodiless=False).length == 0

    @given(st.binary(max_size=200).map(lambda rest: OK + rest) | st.binary(max_size=200), st.booleans())
    def test_nothing_but_a_value_error_comes_of_noise(self, head, bodiless):
        try:
            found = read_head(head, bodiless=bodiless)
        except ValueError:
            return
        assert found.status >= 200
        assert found.length is None or found.length >= 0


@given(st.binary(max_size=300), st.integers(0, 300))
def test_chunks_never_reach_behind_what_came(data, filled):
    filled = min(filled, len(data))
    chunks = Chunks(0)
    try:
        whole = chunks.advance(bytearray(data), filled)
    except ValueError:
        return
    assert chunks.end <= filled
    assert len(chunks.body(bytearray(data))) <= filled
    assert not whole or data[: chunks.end].endswith(b"\r\n\r\n")
