"""One reference, added by the W&B SDK itself and by refscan."""

import json

import wandb

import refscan.wandb


def facts(artifact):
    """Return all that an artifact's manifest says: the document, and each entry as it is."""
    return artifact.manifest.to_manifest_json(), {
        path: dict(entry) for path, entry in artifact.manifest.entries.items()
    }


class Beside:
    """Two artifacts of one name."""

    def __init__(self):
        self.theirs = wandb.Artifact("data", "dataset")
        self.ours = wandb.Artifact("data", "dataset")

    def add(self, uri, *args, strict=False, **options):
        """Add one reference to both."""
        self.theirs.add_reference(uri, *args, **options)
        return self.add_ours(uri, *args, strict=strict, **options)

    def add_ours(self, uri, *args, **options):
        return refscan.wandb.add_reference_sync(self.ours, uri, *args, **options)

    def assert_same(self, entries=None):
        """Both have the same entries, to the type, and the same digest; ``entries`` says how many."""
        theirs, ours = facts(self.theirs), facts(self.ours)
        assert ours[1] == theirs[1]
        assert json.dumps(ours[0], sort_keys=True) == json.dumps(theirs[0], sort_keys=True)
        assert self.ours.digest == self.theirs.digest
        assert self.ours.manifest.entries == self.theirs.manifest.entries
        assert [type(e.path) for e in self.ours.manifest.entries.values()] == [
            type(e.path) for e in self.theirs.manifest.entries.values()
        ]
        if entries is not None:
            assert len(ours[1]) == entries

    def entries(self, who="ours"):
        return dict(getattr(self, who).manifest.entries)


def placed(artifact):
    """Return the references by their paths."""
    return {str(path): entry.ref for path, entry in artifact.manifest.entries.items()}
