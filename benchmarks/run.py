"""All contenders on the same work, each in a process of its own: ``python benchmarks/run.py``."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace

import resume
import tree
from children import child, environment_of, measure, restart, server, warm
from table import facts, render
from targets import Measurement, Results, verdicts
from work import Contender, Setting, Work
from works import CONTENDERS, SERVED, TREE

__all__ = ["main"]

_WORKS = (*SERVED, "s3-resume", "tree", "log", "import")
_TREE_FILES = 100_000
_Found = tuple[object, str]
"""What was measured, and that as text."""


def _served(work: Work, options: argparse.Namespace, environment: dict[str, str]) -> _Found:
    """Do a work in each of its settings; one server at a time is up."""
    largest = max(setting.objects for setting in work.settings.values())
    results: dict[tuple[str, str], Measurement] = {}
    for label, given in work.settings.items():
        setting = given if options.delay_ms is None else replace(given, delay_ms=options.delay_ms)
        most = setting.objects if options.objects is None else max(1, options.objects * setting.objects // largest)
        counts = {
            name: options.wandb_objects or most if name == work.slow else most
            for name in work.contenders
            if name in options.contenders
        }
        for objects in sorted(set(counts.values())):
            with server(setting, objects) as endpoint:
                for name in (name for name, count in counts.items() if count == objects):
                    found = _list(
                        name,
                        work,
                        setting,
                        objects=objects,
                        endpoint=endpoint,
                        repeat=options.repeat,
                        environment=environment,
                    )
                    results[label, name] = {**found, "setting": label} if label else found
    judged = verdicts(work.targets, results)
    title = f"{work.title}, {_delays(work, options)}"
    return {"measured": list(results.values()), "figures": judged}, render(title, _in_order(work, results), judged)


def _in_order(work: Work, results: Results) -> list[Measurement]:
    return [
        results[at] for at in ((label, name) for label in work.settings for name in work.contenders) if at in results
    ]


def _delays(work: Work, options: argparse.Namespace) -> str:
    given = {setting.delay_ms if options.delay_ms is None else options.delay_ms for setting in work.settings.values()}
    return f"{' or '.join(f'{delay:g}' for delay in sorted(given))} ms a request"


def _list(
    name: str, work: Work, setting: Setting, *, objects: int, endpoint: str, repeat: int, environment: dict[str, str]
) -> Measurement:
    """Have one contender do it, several times if so wanted, and see that it recorded every object."""
    contender = work.contenders[name]
    environment = environment | setting.environment(endpoint)
    warm(contender, setting.warm_uri(endpoint), environment, versions=setting.versions)
    runs = []
    for _ in range(repeat):
        restart(endpoint)
        uri = setting.uri(endpoint, objects)
        one = measure(contender, uri, environment, versions=setting.versions, times=work.times)
        counted = restart(endpoint)
        one["requests"] = counted["requests"] / work.times
        one["at_once"], one["faults"], one["delay_ms"] = counted["at_once"], counted["faults"], setting.delay_ms
        runs.append(_checked(name, one, objects))
    return _cheapest(runs)


def _checked(name: str, one: Measurement, objects: int) -> Measurement:
    if one["objects"] != objects:
        raise SystemExit(f"{name} recorded {one['objects']} of {objects} objects")
    return {**one, "contender": name}


def _cheapest(runs: list[Measurement]) -> Measurement:
    return min(runs, key=lambda run: run["cpu_s"])


def _tree(options: argparse.Namespace, environment: dict[str, str]) -> _Found:
    files = options.objects or _TREE_FILES

    def best(name: str, contender: Contender, uri: str) -> Measurement:
        runs = (measure(contender, uri, environment) for _ in range(options.repeat))
        return _cheapest([_checked(name, run, files) for run in runs])

    with tree.temporary(files) as root:
        measured = [best(name, TREE[name], root.as_uri()) for name in options.contenders if name in TREE]
    return {"measured": measured}, render("Local tree, small files with MD5, warm cache", measured)


def _options() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name for name in text.split(",") if name]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, help="of the largest setting of a work; smaller ones in proportion")
    parser.add_argument("--contenders", type=names, default=list(CONTENDERS), help=",".join(CONTENDERS))
    parser.add_argument("--work", type=names, default=list(_WORKS), help=",".join(_WORKS))
    parser.add_argument(
        "--delay-ms", type=float, help="the server waits before each answer; if not given, as works say"
    )
    parser.add_argument("--repeat", type=int, default=1, help="times each is run; the one with least CPU counts")
    parser.add_argument(
        "--wandb-objects", type=int, help="objects for the W&B SDK in S3 buckets: it sends a request for each"
    )
    parser.add_argument("--versions-logged", type=int, default=1_000, help="versions of the work `log`")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    if unknown := [*(set(options.contenders) - set(CONTENDERS)), *(set(options.work) - set(_WORKS))]:
        parser.error(f"unknown: {', '.join(unknown)}")
    return options


def _work(name: str, options: argparse.Namespace, environment: dict[str, str]) -> _Found:
    """Do one work."""
    match name:
        case "log":
            counted = f"--count={options.versions_logged}"
            found = child("log_queue.py", counted, environment=environment)
            return found, facts("log_artifact, ten entries each, none awaited before the last call", found)
        case "import":
            found = child("import_time.py", environment=environment)
            return found, facts("import refscan, without the interpreter's own start", found)
        case "tree":
            return _tree(options, environment)
        case "s3-resume":
            return resume.run(options.objects, options.delay_ms, environment)
    return _served(SERVED[name], options, environment)


def main() -> None:
    options = _options()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="refscan-bench-") as scratch:
        environment = environment_of(scratch)
        for name in options.work:
            results[name], text = _work(name, options, environment)
            if not options.json:
                print(f"{name}: {text}", flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
