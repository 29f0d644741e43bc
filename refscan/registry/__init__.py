"""Runs, artifacts, versions, aliases, lineage, and the queue that keeps them in order."""
