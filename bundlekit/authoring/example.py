"""Examples of the files that ``bundlekit build`` reads and prints, commented."""

from __future__ import annotations

from typing import Final

SPEC_EXAMPLE: Final = """\
# SPEC.toml: the content of a bundle. Paths are relative to this file.
# It is built and signed by `bundlekit build`.
spec     = 1                          # the version of this file format
kind     = "release"                  # release | hotfix | reimage (never installed as an update)
product  = "imager"
models   = ["im-100", "im-200"]       # the supported hardware
version  = "5.40.00"
scheme   = "dotted"                   # how versions compare: pep440 | semver | dotted | declared
build    = "0500212"
released = 2026-11-23                 # signed; orders releases
# expires = 2027-11-23                # rejected after this day
counter  = 7                          # security counter against downgrades; raise it with a security fix
includes = ["HF-118", "HF-131"]       # fixes in this release; an update that would lose one is rejected
matrix   = "matrix.toml"              # the upgrade matrix: bundlekit explain matrix
impact   = { service = "rolling", reboot = true, minutes = 95, revert-minutes = 60 }

[requires]                            # conditions on the pair before an update
tool  = "0.1"                         # the oldest bundlekit that can validate it
free  = { storage = "12 GiB" }
facts = { "ha.state" = "synchronised", "backup.age" = "< 24 h" }

[components.storage]                  # one file for all models
version = "3.4.0"
file    = "out/storage-3.4.0.img"

[components.appliance]                # a file per model; runs on active and standby
version = "5.40.00"
file    = { im-100 = "out/im100.img", im-200 = "out/im200.img" }
# chunk-size = "4 MiB"                # a power of two from 64 KiB to 64 MiB; default 1 MiB

[documents]
release-notes = "notes.md"
eula          = { file = "eula.txt", media-type = "text/plain" }
# sbom        = "sbom.cdx.json"       # CycloneDX or SPDX; check compares it with the components
# qa-8812     = "qa-8812.pdf"         # the test record that `tested` names in the matrix

[annotations]                         # signed, and ignored by every rule
part-number = "P01617-040"
"""

MATRIX_EXAMPLE: Final = """\
# matrix.toml: the installed versions that can be updated. Every entry has an id that reports cite.
matrix   = 1                          # the version of this file format

# The releases you know. Ranges select among these; any other installed version is unknown, and rejected.
releases = ["5.20.00", "5.20.03", "5.30.02", "5.32.00", "5.32.01"]
aliases  = { "5.2" = "5.20.00" }      # a label for a release

# The trust file that releases ship, from a version on: the signatures must meet the requirements of the installed one.
# trust-of     = { "5.20.00" = "trust-5.20.toml" }
# trusted-keys = { "5.20.00" = ["release-2019"] }   # the simple case: any one of these keys is enough

[[from]]                              # allowed: a range, or one version
id       = "rolling-530"
versions = ">=5.30.02, <5.40.00"
method   = "rolling"
tested   = "QA-8812"                  # the test record; if it is a document of the SPEC, its digest is added

[[from]]
id       = "offline-530"              # one version (an edge), which takes precedence over ranges
versions = "5.30.02"
method   = "offline"
minutes  = 140
# reversible = false                  # decisions then state that it cannot be reverted
tested   = "QA-8813"

[[stop]]                              # these must be updated to that release first
id       = "key-2027"
versions = "<5.30.02"
via      = "5.30.02"
reason   = "Releases before 5.30.02 do not know the 2027 signing key."

[[stop]]
id       = "after-5.32.00"
versions = "5.32.00"
via      = "5.32.01"
reason   = "5.32.00 must not come here directly, see KB-1423."

[[block]]                             # these must not be updated directly to this release
id       = "KB-1423"
versions = "5.32.00"
reason   = "Path loss during the switch; go to 5.32.01 first."

[[works-together]]                    # compatible versions of components; a state must match one entry
id        = "storage-3x"
appliance = ">=5.20.00, <5.50.00"
storage   = ">=3.2.0, <3.5.0"
"""
