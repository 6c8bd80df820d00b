"""The trust of the operator, read from the given paths. Nothing is trusted by default.

PEM files and folders of them are one signer without a name. A trust.toml names signers and sets more rules;
`bundlekit.trust.policy` reads it, and is loaded only for one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bundlekit.errors import TrustError
from bundlekit.model.origin import Folder, TrustEntry
from bundlekit.trust.certificates import Certificate
from bundlekit.trust.pem import entry, from_pem
from bundlekit.trust.pem_blocks import blocks, read_pem
from bundlekit.trust.store import Anchors, Signer, TrustStore
from bundlekit.wording import given

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bundlekit.model.trust import Purpose

MAX_FILES: Final = 256
"""Files in all the given folders."""

SUFFIXES: Final = (".pem", ".crt", ".cer", ".pub")
"""The suffixes of a trust file in a folder, in small or capital letters. Other files there are ignored."""

DEMANDING: Final = (".toml", ".crl")
"""The suffixes of files that restrict trust. A folder cannot restrict trust, so one with such a file is rejected."""


def load_trust(names: Sequence[str | Path] | str | Path) -> TrustStore:
    """Read ``names``: one trust.toml, or PEM files and folders of PEM files.

    Certificates of CAs become anchors, and public keys become pinned keys. Raises TrustError for any other content.
    Raises it also if there is no key, because a missing key never means success. Raises ConfigError for a fault in a
    trust.toml. A trust.toml must be given alone, because other trust next to it would weaken its requirements.

    An empty path is a TrustError, and so is ``Path(".")``, because an empty path becomes that. The current folder is
    given as ``"."`` or as ``Path.cwd()``.
    """
    paths = [_named(name) for name in ([names] if isinstance(names, str | Path) else names)]
    if any(path.suffix == ".toml" for path in paths):
        if len(paths) > 1:
            raise TrustError(
                "A trust.toml is given together with other trust.",
                next_step="Name the other keys in the trust.toml, or give PEM files alone.",
            )
        from bundlekit.trust import policy

        return policy.read(paths[0])
    given = [(path, folder_files(path) if _is_folder(path) else None) for path in paths]
    files = [file for path, inside in given for file in (inside if inside is not None else [_file(path)])]
    if len(files) > MAX_FILES:
        msg = f"There are {len(files)} files in what was given as trust; at most {MAX_FILES} are read."
        raise TrustError(msg)
    contents = {file: read_pem(file) for file in files}
    found = from_pem(contents.items())
    if not found.anchors and not found.pinned:
        names = ", ".join(str(path) for path in paths)
        raise TrustError(
            f"No trust anchors were found in {names or 'what was given'}.",
            next_step="Give the certificate of a CA or a public key, as PEM.",
        )
    folders = tuple(
        Folder(folder=str(path), entries=tuple(entry for file in inside for entry in _entries(file, contents[file])))
        for path, inside in given
        if inside is not None
    )
    return unnamed(found, folders=folders)


def unnamed(trusted: Anchors, *, purpose: Purpose = "code-signing", folders: tuple[Folder, ...] = ()) -> TrustStore:
    """Trust in anchors and keys alone: one signer without a name, also with keys for tests.

    This signer can sign every product in every format, because the operator gives the trust for one very check.
    """
    parts = sorted({*(one.der for one in trusted.anchors), *(bytes.fromhex(one.key.id) for one in trusted.pinned)})
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    return TrustStore(
        signers=(Signer(trust=trusted, purpose=purpose),),
        trusted=trusted,
        allow_test_keys=True,
        folders=folders,
        digest=f"sha256:{digest}",
    )


def _named(name: str | Path) -> Path:
    """The given path, but never the current folder for an empty one."""
    if not str(name).strip() or name == Path():
        raise TrustError(
            "A path given as trust is empty.",
            next_step="Name the file or folder. The current folder is Path.cwd().",
        )
    return Path(name)


def folder_files(folder: Path) -> list[Path]:
    """The files in a folder that count as trust: those with one of `SUFFIXES`, by name.

    Hidden files and subfolders do not count. Raises TrustError for a file that restricts trust, and for one that is not
    a regular file. Raises it also for a link to the outside: such a link trusts content that the folder does not
    contain.
    """
    try:
        inside = sorted(one for one in folder.iterdir() if not one.name.startswith("."))
        home = folder.resolve()
        restricting = [one.name for one in inside if one.suffix.lower() in DEMANDING]
        if restricting:
            raise TrustError(
                f"The folder {folder} contains {restricting[0]}, whose requirements would be ignored.",
                next_step=f"Give the trust.toml itself: {given('trust', str(folder / 'trust.toml'))}.",
            )
        found = [one for one in inside if one.suffix.lower() in SUFFIXES]
        for one in found:
            if not one.is_file():
                msg = f"{one} is not a regular file; in a trust folder every {one.suffix} must be one."
                raise TrustError(msg)
            if not one.resolve().is_relative_to(home):
                raise TrustError(
                    f"{one} is a link to {one.resolve()}, outside the folder that is given as trust.",
                    next_step="Copy the file into the folder, or name it by itself.",
                )
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror}."
        raise TrustError(msg) from error
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise TrustError(msg) from error


def _file(path: Path) -> Path:
    if path.exists():  # the reader rejects an object that is neither a file nor a pipe
        return path
    msg = f"{path}: no such file or folder."
    raise TrustError(msg)


def _entries(file: Path, data: bytes) -> Iterator[TrustEntry]:
    """The contribution of a file in a folder to the trust."""
    for label, block, _ in blocks(file, data):
        one = entry(file, label, block)
        if isinstance(one, Certificate):
            id_ = hashlib.sha256(one.der).hexdigest()
            yield TrustEntry(file=file.name, kind="anchor", subject=one.subject, id=id_)
        else:
            yield TrustEntry(file=file.name, kind="key", subject="", id=one.id)
