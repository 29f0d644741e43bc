"""At home with W&B: its artifacts filled by refscan, versions logged to its runs, its manifests read.

Needs ``refscan[wandb]``. The README says where entries differ on purpose from what the W&B SDK records by itself.
"""

from refscan.wandb.pull import from_wandb
from refscan.wandb.push import to_wandb
from refscan.wandb.reference import add_reference, add_reference_sync

__all__ = ["add_reference", "add_reference_sync", "from_wandb", "to_wandb"]
