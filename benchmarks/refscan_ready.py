"""What refscan's libraries import only when they are first used: imported before the clock starts.

pyarrow looks for pandas with the first array that it makes of Python objects, and imports it where it is installed,
which it is beside datachain.
"""

from __future__ import annotations

import anyio._backends._asyncio  # noqa: F401
import pyarrow as pa

__all__: list[str] = []

pa.array([0])
