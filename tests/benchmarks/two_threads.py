"""The machine's own limit for a check: two threads that read and hash the chunks of a file, and do nothing else.

Each thread reads every second MiB into memory that begins at a page, as the check does.
"""

import hashlib
import mmap
import os
import sys
import threading

CHUNK = 2**20


def hash_every_second(descriptor: int, start: int, size: int) -> None:
    """Read and hash the chunks from ``start`` on, leaving out every second one."""
    buffer = memoryview(mmap.mmap(-1, CHUNK))
    for chunk in range(start * CHUNK, size, 2 * CHUNK):
        hashlib.sha256(buffer[: os.preadv(descriptor, [buffer], chunk)]).digest()


def main() -> None:
    """Hash the file that is named."""
    descriptor = os.open(sys.argv[1], os.O_RDONLY)
    size = os.fstat(descriptor).st_size
    threads = [threading.Thread(target=hash_every_second, args=(descriptor, number, size)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
