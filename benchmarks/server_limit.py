"""Is the listing server ever the limit: ``python benchmarks/server_limit.py`` reads pages as fast as it gives them.

64 raw connections that parse nothing ask for random pages of a flat bucket, for some seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from urllib.parse import urlsplit

from children import server
from work import Setting

__all__ = ["main"]

_OBJECTS = 1_000_000
_LIMIT = 1 << 22


async def _stream(host: str, port: int, until: float, chance: random.Random, objects: int) -> tuple[int, int]:
    """Return the pages and bytes that one connection got."""
    reader, writer = await asyncio.open_connection(host, port, limit=_LIMIT)
    pages = received = 0
    while time.perf_counter() < until:
        marker = f"data/{chance.randrange(objects):012}.bin"
        query = f"/bench?versions&encoding-type=url&prefix=data%2F&max-keys=1000&key-marker={marker}"
        writer.write(f"GET {query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split()[0])
        await reader.readexactly(length)
        pages += 1
        received += length
    writer.close()
    return pages, received


async def _read(endpoint: str, streams: int, seconds: float, objects: int) -> dict[str, float]:
    location = urlsplit(endpoint)
    chance = random.Random(0)
    until = time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_stream(location.hostname or "", location.port or 0, until, chance, objects))
            for _ in range(streams)
        ]
    pages, received = map(sum, zip(*(task.result() for task in tasks), strict=True))
    return {"pages_per_s": pages / seconds, "megabytes_per_s": received / seconds / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--delay-ms", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--objects", type=int, default=_OBJECTS)
    options = parser.parse_args()
    setting = Setting(objects=options.objects, delay_ms=options.delay_ms)
    with server(setting, options.objects) as endpoint:
        asyncio.run(_read(endpoint, 1, 0.001, options.objects))  # the server renders
        found = asyncio.run(_read(endpoint, options.streams, options.seconds, options.objects))
    possible = options.streams / options.delay_ms * 1_000 if options.delay_ms else None
    print(json.dumps({**found, "possible_pages_per_s": possible, "cpus": os.cpu_count()}))


if __name__ == "__main__":
    main()
