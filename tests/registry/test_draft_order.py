"""A manifest depends on what was added, not on the order in which it was, nor on what ran at once."""

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from refscan import Artifact, MemorySource, PathConflictError
from refscan.manifest.writer import write_manifest

KEYS = st.text(alphabet="ab/.é~0", min_size=1, max_size=5).filter(
    lambda key: not key.endswith("/") and not key.startswith("/")
)
BUCKETS = st.dictionaries(KEYS, st.sampled_from([b"one", b"two", b"three"]), min_size=1, max_size=12)
NAMES = st.sampled_from([None, "n", "n/m"])
REFERENCES = st.lists(st.tuples(BUCKETS, NAMES), min_size=1, max_size=5)


def model(references):
    """What the entries are, or ``None`` if a path has two digests."""
    entries = {}
    for bucket, name in references:
        for key, data in bucket.items():
            path = key if name is None else f"{name}/{key}"
            if entries.setdefault(path, data) != data:
                return None
    return entries


def sources_of(references):
    sources = []
    for number, (bucket, name) in enumerate(references):
        source = MemorySource(f"order-{number}", page_size=3)
        for key, data in bucket.items():
            source.put(key, data)
        sources.append((source, name))
    return sources


def manifest_of(artifact):
    artifact.draft.seal()
    rows = [row for batch in artifact.draft.batches() for row in batch.to_pylist()]
    return write_manifest(artifact.draft.batches(), lambda _name, _data: None), rows


async def fill(sources, *, at_once):
    artifact = Artifact("data", type="dataset")
    if at_once:
        async with anyio.create_task_group() as tasks:
            for source, name in sources:
                tasks.start_soon(artifact.add_reference, source.base, name)
    else:
        for source, name in sources:
            await artifact.add_reference(source.base, name)
    return manifest_of(artifact)


@given(REFERENCES, st.randoms(use_true_random=False))
def test_any_order_and_all_at_once_give_one_manifest(references, random):
    async def scenario():
        sources = sources_of(references)
        expected = await fill(sources, at_once=False)
        random.shuffle(sources)
        assert await fill(sources, at_once=False) == expected
        assert await fill(sources, at_once=True) == expected
        _, rows = expected
        assert [row["path"] for row in rows] == sorted(model(references), key=str.encode)

    if model(references) is not None:
        anyio.run(scenario)


@settings(max_examples=100)
@given(REFERENCES)
def test_a_conflict_refuses_its_own_reference_only(references):
    async def scenario():
        artifact = Artifact("data", type="dataset")
        taken = []
        for reference, (source, name) in zip(references, sources_of(references), strict=True):
            clashes = model([*taken, reference]) is None
            try:
                await artifact.add_reference(source.base, name)
            except PathConflictError as error:
                assert clashes
                assert source.base in str(error)  # noqa: PT017  whether it is raised is for the model to say
            else:
                assert not clashes
                taken.append(reference)
        _, rows = manifest_of(artifact)
        assert [row["path"] for row in rows] == sorted(model(taken), key=str.encode)
        assert len(artifact.draft.receipts) == len(taken)

    anyio.run(scenario)


@given(st.dictionaries(KEYS, st.sampled_from(["one", "two"]), min_size=1, max_size=10), st.randoms())
def test_single_entries_and_references_mix_in_any_order(entries, random):
    async def scenario():
        source = MemorySource("mixed", page_size=3)
        for key in entries:
            source.put(f"r/{key}", key.encode())

        async def track(artifact, key, uri):
            await artifact.add_reference(f"tracked://{uri}", name=f"t/{key.encode().hex()}")

        async def refer(artifact):
            await artifact.add_reference(source.base + "r/", name="m")

        results = []
        for _ in range(3):
            artifact = Artifact("data", type="dataset")
            calls = [(track, artifact, key, uri) for key, uri in entries.items()] + [(refer, artifact)]
            random.shuffle(calls)
            async with anyio.create_task_group() as tasks:
                for call, *arguments in calls:
                    tasks.start_soon(call, *arguments)
            results.append(manifest_of(artifact))
        assert results[0] == results[1] == results[2]
        assert len(results[0][1]) == 2 * len(entries)

    anyio.run(scenario)
