"""An offline run's file, read back: LevelDB's log format, a protobuf record in each of its records.

The format: https://github.com/google/leveldb/blob/main/doc/log_format.md, behind a header of seven bytes.
"""

import struct

from wandb.proto import wandb_internal_pb2

_BLOCK = 32_768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def records(path):
    """Yield the records of an offline run."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    offset, parts = 7, []
    while offset < len(data):
        if _BLOCK - offset % _BLOCK < 7:
            offset += _BLOCK - offset % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, offset)
        parts.append(data[offset + 7 : offset + 7 + length])
        offset += 7 + length
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record
        else:
            assert kind in (_FIRST, _MIDDLE)


def logged_artifacts(directory):
    """Return the artifacts that an offline run holds, in the order in which it got them."""
    (path,) = directory.glob("run-*.wandb")
    found = []
    for record in records(path):
        if record.WhichOneof("record_type") == "artifact":
            found.append(record.artifact)
        elif record.request.WhichOneof("request_type") == "log_artifact":
            found.append(record.request.log_artifact.artifact)
    return found
