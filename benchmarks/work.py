"""What a work is: what is served, what is asked of whom, and the figures to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keys import WARM
from targets import Target

__all__ = ["Contender", "Setting", "Work"]

_PREFIX = "data/"
# The account and key of Azure's emulators, which anybody may know:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class Contender:
    """Who does a work.

    Attributes:
        module: The file of this folder that does it.
        imports: Imported before the clock starts: what it would import for this store when it is first used.
    """

    module: str
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is served.

    Attributes:
        kind: One of ``server.KINDS``.
        layout: One of ``keys.LAYOUTS``.
        versions: The bucket is versioned.
        objects: How many, if nobody says.
        delay_ms: The server waits so long before each answer, if nobody says.
        faults: Share of answers that are 503 SlowDown, or a connection that is reset.
        truncated: Share of answers that break off.
        denied: ``ListObjectVersions`` is not permitted.
    """

    kind: str = "s3"
    layout: str = "flat"
    versions: bool = True
    objects: int = 100_000
    delay_ms: float = 0.0
    faults: float = 0.0
    truncated: float = 0.0
    denied: bool = False

    def uri(self, endpoint: str, objects: int) -> str:
        """Return what a contender is told to record."""
        return self._below(_PREFIX, endpoint, objects)

    def warm_uri(self, endpoint: str) -> str:
        """Return the URI of one object, for a request that is not measured."""
        return self._below(WARM[: WARM.index("/") + 1], endpoint, 1)

    def environment(self, endpoint: str) -> dict[str, str]:
        """Return the variables that lead a contender to the server."""
        if self.kind == "gcs":
            return {"STORAGE_EMULATOR_HOST": endpoint}
        if self.kind.startswith("azure"):
            parts = {
                "DefaultEndpointsProtocol": "http",
                "AccountName": _ACCOUNT,
                "AccountKey": _KEY,
                "BlobEndpoint": f"{endpoint}/{_ACCOUNT}",
            }
            return {"AZURE_STORAGE_CONNECTION_STRING": ";".join(f"{name}={value}" for name, value in parts.items())}
        return {"AWS_S3_ENDPOINT_URL": endpoint} if self.kind == "s3" else {}

    def options(self, objects: int) -> list[str]:
        """Return the server's options."""
        return [
            self.kind,
            f"--objects={objects}",
            f"--layout={self.layout}",
            f"--delay-ms={self.delay_ms}",
            f"--faults={self.faults}",
            f"--truncated={self.truncated}",
            *(["--versions"] if self.versions else []),
            *(["--deny-versions"] if self.denied else []),
        ]

    def _below(self, prefix: str, endpoint: str, objects: int) -> str:
        match self.kind:
            case "gcs":
                return f"gs://bench/{prefix}"
            case "azure" | "azure-xml":
                return f"{endpoint}/{_ACCOUNT}/bench/{prefix}"
            case "urls":
                # No folder: a contender makes the URLs from their number.
                return f"{endpoint}/#{objects}"
        return f"s3://bench/{prefix}"


@dataclass(frozen=True, slots=True)
class Work:
    """What contenders do, in one setting or in several that are compared.

    Attributes:
        title: Says in the table what is done.
        settings: What is served, by the name that the table has for it.
        contenders: By the names that ``--contenders`` takes.
        targets: The figures to reach.
        slow: A contender that sends a request for each object of a listing; it may be given fewer.
        times: How often it is done in a process, where once is too short to be measured.
    """

    title: str
    settings: Mapping[str, Setting]
    contenders: Mapping[str, Contender]
    targets: tuple[Target, ...] = ()
    slow: str | None = None
    times: int = 1
