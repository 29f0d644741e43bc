import hashlib
from urllib.parse import quote

import pytest
from conformance.suite import ConnectionConformance, ObjectConformance
from servers.http import Resource
from servers.scripted import ScriptedServer, Stall

from refscan.sources.http import HTTPSource


class Site:
    def __init__(self, server) -> None:
        self.server = server

    def put(self, key: str, data: bytes) -> None:
        # What a browser's address line would send.
        target = "/" + quote(key, safe="!$%&'()*+,/:;=?@[]~")
        self.server.resources[target] = Resource(data, e_tag=f'"{hashlib.md5(data).hexdigest()}"')

    def source(self) -> HTTPSource:
        return HTTPSource(self.server.base)


class TestHTTPSource(ObjectConformance):
    wrong_e_tag = '"00000000"'

    @pytest.fixture
    def store(self, web_server):
        return Site(web_server)

    def allows(self, key: str) -> bool:
        return "#" not in key  # begins a fragment, which is no part of a request


@pytest.mark.parametrize("operation", ["open"])
class TestHTTPConnections(ConnectionConformance):
    @pytest.fixture
    async def stalling(self):
        async with ScriptedServer(lambda _: Stall(b"the beginning")) as server:
            yield HTTPSource(server.url + "/"), server
