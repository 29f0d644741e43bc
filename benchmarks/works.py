"""The works that a listing server is needed for: what is served, what is asked, and who does it."""

from __future__ import annotations

from s3_works import S3_WORKS
from work import Contender, Setting, Work

__all__ = ["CONTENDERS", "SERVED", "TREE"]

_GCS = {
    "refscan": Contender("refscan_scan", ("refscan_ready", "refscan.sources.gcs.source")),
    "refscan-iterate": Contender("refscan_iterate", ("refscan_ready", "refscan.sources.gcs.source")),
    "wandb": Contender("wandb_sdk", ("google.cloud.storage",)),
    "google-cloud-storage": Contender("google_client_whole"),
    "google-cloud-storage-masked": Contender("google_client"),
    "gcloud-aio-storage": Contender("gcloud_aio_pages"),
    "gcsfs": Contender("gcsfs_find"),
    "obstore": Contender("obstore_gcs"),
}
_AZURE = {
    "refscan": Contender("refscan_scan", ("refscan_ready", "refscan.sources.azure.source")),
    "refscan-iterate": Contender("refscan_iterate", ("refscan_ready", "refscan.sources.azure.source")),
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

SERVED = S3_WORKS | {
    "gcs": Work("Google Cloud Storage, one folder, with generations", {"": Setting(kind="gcs")}, _GCS),
    "azure": Work("Azure Blob Storage, one folder, with version IDs", {"": Setting(kind="azure")}, _AZURE),
    "azure-xml": Work("Azure Blob Storage, answers in XML only", {"": Setting(kind="azure-xml")}, _AZURE_XML),
    "urls": Work("One request a URL, one server", {"": Setting(kind="urls", objects=10_000)}, _URLS),
}
CONTENDERS = tuple(dict.fromkeys(name for work in SERVED.values() for name in work.contenders))
"""All names of contenders, refscan first."""
