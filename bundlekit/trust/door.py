"""The only way to read objects of ``cryptography``.

The library reads lazily: a property of a certificate can raise long after the certificate was loaded. The possible
exceptions are not documented as a closed list. Examples are KeyError for an unknown TLS feature, OverflowError, and
exceptions of the library that are not ValueErrors. A fault in its Rust code is a PanicException, which is not even an
Exception. Every access to its certificates, revocation lists and loaders is therefore made inside `reading`.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Final

from cryptography.utils import CryptographyDeprecationWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSES: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)
"""Exceptions that are not about the object that is read."""


class UnreadableObjectError(ValueError):
    """The library cannot read an object. This exception replaces any exception that it raised for that."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Raise UnreadableObjectError for any exception of the library inside the block.

    Deprecation warnings of the library are errors here. A later release will not read the object at all, and a warning
    would be printed to an operator who checks a hostile bundle. Other warnings are dropped for the same reason.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names that are longer than RFC 5280 allows
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            yield
        except PASSES:
            raise
        except BaseException as error:  # PanicException derives from it
            msg = "the library cannot read it"
            raise UnreadableObjectError(msg) from error
