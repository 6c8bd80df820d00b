"""A pair behind the hook templates, as ``fixtures/hooks/hook.sh`` describes its folders."""

import sys
from pathlib import Path

from bundlekit.update.rehearsal.simulator import OLD, OLD_STORAGE
from bundlekit.update.targets.command import Command, CommandHooks
from tests.update.target import FileBundle, job_for

TEMPLATES = Path(__file__).parents[2] / "fixtures" / "hooks"
COMPONENTS = {
    "storage": ("pair-0", "shared/storage", OLD_STORAGE),
    "active": ("SN-active", "SN-active/appliance", OLD),
    "standby": ("SN-standby", "SN-standby/appliance", OLD),
}


def make_folders(root, *, sandbox=True):
    """The pair, and copies of the templates that nobody else can write to."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sandbox:
        (root / "sandbox").touch()
    for step, (identity, where, version) in COMPONENTS.items():
        folder = root / "pair-0" / where
        (folder / "images").mkdir(parents=True)
        (folder / "identity").write_text(f"{identity}\n")
        (folder / "role").write_text(f"{'shared' if step == 'storage' else step}\n")
        (folder / "current").write_text(f"{version}\n")
        (folder / "images" / version).write_text(f"image of {version}\n")
    (root / "pair-0" / "counter").write_text("6\n")
    for template in TEMPLATES.iterdir():
        copy = root / template.name
        # The interpreter of the tests, not whichever comes first in the path of a hook.
        copy.write_text(template.read_text().replace("/usr/bin/env python3", f"{sys.executable} -IS"))
        copy.chmod(0o700)
    return root


class Folders:
    """What is on the disk of such a pair, and hooks over it."""

    def __init__(self, root, *, argv, pipe=False, plan=None, **options):
        self.root = make_folders(root)
        self.job = job_for(plan) if plan else job_for()
        self.bundle = FileBundle(root / "update.bin")
        command = Command(argv=tuple(word.format(root=root) for word in argv), pipe=pipe)
        self.hooks = CommandHooks(dict.fromkeys((*COMPONENTS, *self.job.plan.gates), command), **options)

    def versions(self):
        return tuple(
            (self.root / "pair-0" / where / "current").read_text().strip() for _, where, _ in COMPONENTS.values()
        )

    def image(self, step):
        folder = self.root / "pair-0" / COMPONENTS[step][1]
        return (folder / "images" / (folder / "current").read_text().strip()).read_bytes()


SHELL = ("{root}/hook.sh", "{root}")
IN_PYTHON = ("{root}/hook.py", "{root}")
