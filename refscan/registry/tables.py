"""The registry's tables."""

from __future__ import annotations

import sqlalchemy as sql

__all__ = ["alias", "artifact", "edge", "lease", "metadata", "project", "run", "version"]

metadata = sql.MetaData()
project = sql.Table(
    "project",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("name", sql.Text, nullable=False, unique=True),
)
run = sql.Table(
    "run",
    metadata,
    sql.Column("id", sql.Text, primary_key=True),
    sql.Column("project_id", sql.ForeignKey(project.c.id), nullable=False),
    sql.Column("job_type", sql.Text),
    sql.Column("run_group", sql.Text),
    sql.Column("state", sql.Text, nullable=False),
    sql.Column("started_at", sql.DateTime(timezone=True), nullable=False),
    sql.Column("ended_at", sql.DateTime(timezone=True)),
)
artifact = sql.Table(
    "artifact",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("project_id", sql.ForeignKey(project.c.id), nullable=False),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("type", sql.Text, nullable=False),
    sql.UniqueConstraint("project_id", "name"),
)
version = sql.Table(
    "version",
    metadata,
    sql.Column("artifact_id", sql.ForeignKey(artifact.c.id), primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("digest", sql.Text, nullable=False),
    sql.Column("pin_digest", sql.Text, nullable=False),
    sql.Column("manifest", sql.Text, nullable=False),
    sql.Column("entry_count", sql.BigInteger, nullable=False),
    sql.Column("size", sql.BigInteger, nullable=False),
    sql.Column("description", sql.Text),
    sql.Column("metadata", sql.Text, nullable=False),
    sql.Column("receipts", sql.Text, nullable=False),
    sql.Column("created_at", sql.DateTime(timezone=True), nullable=False),
    # The row stays: its number is never given again, and lineage still tells that it was there.
    sql.Column("deleted_at", sql.DateTime(timezone=True)),
)
alias = sql.Table(
    "alias",
    metadata,
    sql.Column("artifact_id", sql.ForeignKey(artifact.c.id), primary_key=True),
    sql.Column("alias", sql.Text, primary_key=True),
    sql.Column("number", sql.Integer, nullable=False),
    sql.ForeignKeyConstraint(["artifact_id", "number"], [version.c.artifact_id, version.c.number]),
)
edge = sql.Table(
    "edge",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("run_id", sql.ForeignKey(run.c.id), nullable=False, index=True),
    sql.Column("artifact_id", sql.Integer, nullable=False),
    sql.Column("number", sql.Integer, nullable=False),
    sql.Column("kind", sql.Text, nullable=False),
    sql.Column("at", sql.DateTime(timezone=True), nullable=False),
    sql.ForeignKeyConstraint(["artifact_id", "number"], [version.c.artifact_id, version.c.number]),
    sql.Index("edge_version", "artifact_id", "number"),
)
lease = sql.Table(
    "lease",
    metadata,
    sql.Column("run_id", sql.ForeignKey(run.c.id), primary_key=True),
    # By the clock of the store's file system, in nanoseconds.
    sql.Column("since", sql.BigInteger, nullable=False),
    sql.Column("taken_at", sql.DateTime(timezone=True), nullable=False),
)
