"""The one door through which objects of ``cryptography`` are read.

The library reads lazily: a property of a certificate can raise long after the certificate was loaded. What it raises is
not documented as a closed list (KeyError for an unknown TLS feature, OverflowError, its own exceptions that are no
ValueError), and a fault in its Rust code is a PanicException, which is not even an Exception. Every access to one of
its certificates, revocation lists and loaders is therefore made inside `reading`.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Final

from cryptography.utils import CryptographyDeprecationWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSES: Final = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)
"""What is not about the object that is read."""


class UnreadableObjectError(ValueError):
    """The library cannot read an object, whatever exception it raised for that."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Raise UnreadableObjectError for whatever the library raises inside.

    Deprecation warnings of the library are errors here: a later release will not read the object at all, and a warning
    would be printed to the operator who checks a hostile bundle. Other warnings are dropped for the same reason.
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
