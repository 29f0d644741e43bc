"""The works that a listing server is needed for: what is served, what is asked, and who does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bucket import WARM

__all__ = ["CONTENDERS", "SERVED", "TREE", "Contender", "Work"]

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


@dataclass(frozen=True, slots=True)
class Work:
    """A served work.

    Attributes:
        title: Says in the table what is done.
        kind: One of ``server.KINDS``.
        contenders: By the names that ``--contenders`` takes.
        layout: One of ``bucket.LAYOUTS``.
        versions: The bucket is versioned.
        objects: How many, if nobody says.
        slow: A contender that sends a request for each object of a listing; it may be given fewer.
    """

    title: str
    kind: str
    contenders: Mapping[str, Contender]
    layout: str = "flat"
    versions: bool = True
    objects: int = 100_000
    slow: str | None = None

    def uri(self, endpoint: str, objects: int) -> str:
        """Return what a contender is told to record."""
        return self._below(_PREFIX, endpoint, objects)

    def warm_uri(self, endpoint: str) -> str:
        """Return the URI of one object, for a request that is not measured."""
        return self._below(WARM, endpoint, 1)

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


_S3 = {
    "refscan": Contender("refscan_scan", ("aioboto3",)),
    "refscan-iterate": Contender("refscan_iterate", ("aioboto3",)),
    "wandb": Contender("wandb_sdk", ("boto3",)),
    "boto3": Contender("boto3_paginator"),
    "aiobotocore": Contender("aiobotocore_paginator"),
}
_GCS = {
    "refscan": Contender("refscan_scan", ("refscan.sources.gcs.source",)),
    "refscan-iterate": Contender("refscan_iterate", ("refscan.sources.gcs.source",)),
    "wandb": Contender("wandb_sdk", ("google.cloud.storage",)),
    "google-cloud-storage": Contender("google_client_whole"),
    "google-cloud-storage-masked": Contender("google_client"),
    "gcloud-aio-storage": Contender("gcloud_aio_pages"),
    "gcsfs": Contender("gcsfs_find"),
    "obstore": Contender("obstore_gcs"),
}
_AZURE = {
    "refscan": Contender("refscan_scan", ("refscan.sources.azure.source",)),
    "refscan-iterate": Contender("refscan_iterate", ("refscan.sources.azure.source",)),
    "azure-sdk": Contender("azure_sdk"),
    "azure-sdk-aio": Contender("azure_sdk_aio"),
    "azure-sdk-arrow": Contender("azure_sdk_arrow"),
    "adlfs": Contender("adlfs_find"),
    "obstore": Contender("obstore_azure"),
}
_AZURE_XML = {name: _AZURE[name] for name in ("refscan", "refscan-iterate", "azure-sdk", "obstore")}
_URLS = {
    "refscan": Contender("refscan_stat"),
    "wandb": Contender("wandb_urls"),
    "aiohttp": Contender("aiohttp_head"),
    "httpx": Contender("httpx_head"),
    "requests": Contender("requests_head"),
}
TREE = {"refscan": Contender("refscan_scan"), "wandb": Contender("wandb_sdk")}
"""Who records a local tree."""

SERVED = {
    "s3-versions": Work("S3, one folder, with version IDs", "s3", _S3, slow="wandb"),
    "s3-plain": Work("S3, one folder, never versioned", "s3", _S3, versions=False, slow="wandb"),
    "s3-hierarchical": Work("S3, folders in folders, with version IDs", "s3", _S3, "hierarchical", slow="wandb"),
    "gcs": Work("Google Cloud Storage, one folder, with generations", "gcs", _GCS),
    "azure": Work("Azure Blob Storage, one folder, with version IDs", "azure", _AZURE),
    "azure-xml": Work("Azure Blob Storage, answers in XML only", "azure-xml", _AZURE_XML),
    "urls": Work("One request a URL, one server", "urls", _URLS, objects=10_000),
}
CONTENDERS = tuple(dict.fromkeys(name for work in SERVED.values() for name in work.contenders))
"""All names of contenders, refscan first."""
