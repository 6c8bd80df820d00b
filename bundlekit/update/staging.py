"""Hand a component to a hook: as a file that holds verified bytes only and has no name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from bundlekit.errors import BundlekitError
from bundlekit.integrity import verified_chunks
from bundlekit.model.bundle import ChunkClaim, DigestClaim
from bundlekit.source import Source
from bundlekit.update.state.private_files import opened_again
from bundlekit.update.state.space import device_of


@contextmanager
def staged(source: Source, chunks: ChunkClaim, index: DigestClaim, folder: Path) -> Iterator[BinaryIO]:
    """Copy a component into an unlinked file in ``folder`` and give a read-only view of it, at its first byte.

    Each chunk is verified before it is copied, and the hook gets the copy: whatever becomes of the bundle
    meanwhile, no byte that was not verified reaches it. Raises ChangedWhileReadError at the first chunk that
    is not as claimed; then nothing has been handed over. The file needs the component's size in ``folder``.
    """
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(TemporaryFile(dir=folder))
            for chunk in verified_chunks(source, chunks, index):
                copy.write(chunk)
            copy.flush()
        except OSError as error:
            raise BundlekitError(
                f"The copy of {chunks.subject} in {folder} cannot be written: {error.strerror} ({device_of(folder)})."
            ) from error
        # Opened again, so that our code cannot write to or move the descriptor of the hook.
        reader = opened_again(copy.fileno(), os.O_RDONLY)
        with open(reader, "rb") as file:
            yield file
