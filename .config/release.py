"""Check that HEAD can be released: ``nox -f .config/noxfile.py -s release``.

1. The versions of the package, the changelog and the README agree.
2. The source archive and the wheel are built twice, from two clones under different names, umasks and time zones. Both
   builds have the same bytes (https://reproducible-builds.org/docs/source-date-epoch/).
3. The archives hold what they have to hold, and ``twine check`` accepts their metadata.
4. The wheel is installed into a new virtual environment, where the demo command of the README accepts its bundle.

Nothing is uploaded. The archives of the first build are left in ``dist/``, with their digests on standard output.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[1]
DEMO = re.compile(r"bundlekit (check fixtures/demo/update\.bin [^\n#&]*)")
BUILDS = ({"TZ": "UTC"}, {"TZ": "Asia/Kolkata"})
UMASKS = (0o022, 0o077)


class NotReadyError(Exception):
    """The reason why HEAD cannot be released."""


def version_of(root: Path) -> str:
    """The version of the package; NotReadyError if the changelog or the README has another one."""
    text = (root / "bundlekit" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__.* = "([^"]+)"', text)
    if found is None:
        raise NotReadyError("bundlekit/_version.py: no version found")
    version = found[1]
    newest = re.search(r"^## (\S+?),? ", (root / "CHANGELOG.md").read_text(encoding="utf-8") + " ", re.MULTILINE)
    if newest is None or newest[1] != version:
        raise NotReadyError(f"CHANGELOG.md: the newest version is {newest and newest[1]}, the package has {version}")
    readme = (root / "README.md").read_text(encoding="utf-8")
    for other in re.findall(r"bundlekit(?:==|[ -]v?)(\d+\.\d+\.\d+)", readme):
        if other != version:
            raise NotReadyError(f"README.md: it names version {other}, the package has {version}")
    return version


def demo_of(root: Path) -> list[str]:
    """The arguments of the first ``bundlekit check`` of the README; NotReadyError if there is none."""
    found = DEMO.search((root / "README.md").read_text(encoding="utf-8"))
    if found is None:
        raise NotReadyError("README.md: no demo command found")
    return shlex.split(found[1])


def faults_of_wheel(names: Iterable[str], tracked: Iterable[str], version: str) -> list[str]:
    """What is wrong with the files of a wheel, given the files under version control."""
    files = set(names)
    own = {name for name in files if not name.startswith(f"bundlekit-{version}.dist-info/")}
    wanted = {name for name in tracked if name.startswith("bundlekit/")}
    faults = [f"lacks {name}" for name in sorted((wanted | {"bundlekit/py.typed", "bundlekit/docs/format.md"}) - own)]
    faults += [f"has {name}, which is not under version control" for name in sorted(own - wanted)]
    if f"bundlekit-{version}.dist-info/licenses/LICENSE" not in files:
        faults.append("lacks the licence")
    return faults


def faults_of_sdist(names: Iterable[str], tracked: Iterable[str], version: str) -> list[str]:
    """What is wrong with the files of a source archive, given the files under version control."""
    wanted = {f"bundlekit-{version}/{name}" for name in tracked}
    files = set(names)
    faults = [f"lacks {name}" for name in sorted(wanted - files)]
    extra = files - wanted - {f"bundlekit-{version}/PKG-INFO"}
    return faults + [f"has {name}, which is not under version control" for name in sorted(extra)]


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, umask: int = -1) -> str:
    """Run a command and return its standard output; NotReadyError with all output if it fails."""
    given = None if env is None else os.environ | env
    done = subprocess.run(command, cwd=cwd, env=given, umask=umask, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotReadyError(f"{shlex.join(map(str, command))} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path, place: int) -> list[Path]:
    """Clone HEAD below ``folder`` and build the source archive, and the wheel from that."""
    clone = folder / f"clone-{place}"
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, clone, umask=UMASKS[place])
    epoch = run("git", "log", "-1", "--format=%ct", cwd=clone).strip()
    env = {"SOURCE_DATE_EPOCH": epoch, **BUILDS[place]}
    run(sys.executable, "-m", "build", "--no-isolation", cwd=clone, env=env, umask=UMASKS[place])
    return sorted((clone / "dist").iterdir())


def try_wheel(wheel: Path, folder: Path, version: str) -> None:
    """Install the wheel into a new environment; run the demo and load every public name away from the sources."""
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    away = folder / "away"
    shutil.copytree(folder / "clone-0" / "fixtures" / "demo", away / "fixtures" / "demo")
    if (printed := run(programs / "bundlekit", "--version", cwd=away)).split()[-1] != version:
        raise NotReadyError(f"bundlekit --version printed {printed}")
    report = run(programs / "bundlekit", *demo_of(folder / "clone-0"), cwd=away)
    if "ACCEPT" not in report:
        raise NotReadyError(f"the demo did not accept its bundle:\n{report}")
    run(programs / "bundlekit", "explain", "format", cwd=away)
    names = "import bundlekit; [getattr(bundlekit, name) for name in bundlekit.__all__]"
    run(programs / "python", "-W", "error", "-c", names, cwd=away)


def compare(archives: list[Path], again: list[Path]) -> None:
    """NotReadyError if two builds differ; both are left in ``dist/`` then, for diffoscope."""
    different = [one for one, other in zip(archives, again, strict=True) if one.read_bytes() != other.read_bytes()]
    if different or [one.name for one in archives] != [other.name for other in again]:
        for number, builds in enumerate((archives, again), 1):
            keep(builds, ROOT / "dist" / f"build-{number}")
        names = ", ".join(one.name for one in different)
        raise NotReadyError(f"two builds differ, compare dist/build-1 and dist/build-2: {names}")


def require_contents(sdist: Path, wheel: Path, tracked: list[str], version: str) -> None:
    """NotReadyError if an archive lacks a file, or has one too many."""
    with zipfile.ZipFile(wheel) as zipped:
        faults = [f"{wheel.name} {fault}" for fault in faults_of_wheel(zipped.namelist(), tracked, version)]
    with tarfile.open(sdist) as tarred:
        faults += [f"{sdist.name} {fault}" for fault in faults_of_sdist(tarred.getnames(), tracked, version)]
    if faults:
        raise NotReadyError("\n".join(faults))


def keep(archives: list[Path], folder: Path) -> None:
    """Copy the archives to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        shutil.copy(archive, folder)


def check(folder: Path) -> None:
    """Check HEAD in ``folder``, which is empty, and print one line for each step; NotReadyError if a step fails."""
    if changed := run("git", "status", "--porcelain"):
        print(f"note: HEAD is checked, without these changes:\n{changed}", end="")
    archives, again = (build(folder, place) for place in range(len(BUILDS)))
    version = version_of(folder / "clone-0")
    print(f"version {version}: package, changelog and README agree")
    compare(archives, again)
    print(f"{len(archives)} archives: two builds have the same bytes")
    wheel, sdist = sorted(archives, key=lambda path: path.suffix, reverse=True)
    require_contents(sdist, wheel, run("git", "ls-files", cwd=folder / "clone-0").splitlines(), version)
    run(sys.executable, "-m", "twine", "check", "--strict", *archives)
    print("contents and metadata are complete")
    try_wheel(wheel, folder, version)
    print("the wheel passes the demo in a new environment")
    keep(archives, ROOT / "dist")
    for archive in archives:
        print(f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  dist/{archive.name}")


def main() -> int:
    """Return 0 if HEAD can be released, otherwise 1 with the reason on standard error."""
    with tempfile.TemporaryDirectory(prefix="bundlekit-release-") as folder:
        try:
            check(Path(folder))
        except NotReadyError as error:
            print(f"not ready: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
