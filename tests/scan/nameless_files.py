"""Files without a name that this process has open."""

import os
import stat


def nameless_files() -> set[tuple[int, int]]:
    """Return device and inode of each."""
    found = set()
    for descriptor in os.listdir("/dev/fd"):
        try:
            state = os.fstat(int(descriptor))
        except OSError:  # the one that lists the folder
            continue
        if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
            found.add((state.st_dev, state.st_ino))
    return found
