"""A real pair: two network namespaces with keepalived, a virtual address, and storage whose data format changes.

All traffic stays in three namespaces that a test makes and removes. The address of the pair is polled every 50 ms from
the third. How long it was away is printed for each end (``-rP``), and no test asserts it.
"""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bundlekit.update.rehearsal.simulator import NEW, NEW_STORAGE, OLD, OLD_STORAGE
from tests.update.folders import make_folders
from tests.update.test_kills import Controllers, versions_of_folders
from tests.waiting import LIMIT, at_work, wait_for

SOURCES = Path(__file__).parent / "appliance"
MEMBERS = {"SN-active": ("10.66.0.1", 150), "SN-standby": ("10.66.0.2", 140)}
ADDRESS = "10.66.0.100"
KEEPALIVED = """\
global_defs {{
    vrrp_version 3
}}
track_file software {{
    file "{root}/{serial}.weight"
    weight 1
}}
vrrp_instance pair {{
    state BACKUP
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 0.1
    unicast_src_ip {own}
    unicast_peer {{
        {other}
    }}
    virtual_ipaddress {{
        {address}/24
    }}
    track_file {{
        software
    }}
}}
"""


def why_not():
    """Why a pair of network namespaces cannot be made here; empty if it can."""
    missing = [name for name in ("ip", "keepalived", "flock", "setsid") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"bundlekit-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    if made.returncode:
        return f"no network namespace can be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


class Pair:
    """The namespaces, the processes in them, and the folders behind the hooks."""

    def __init__(self, controllers, stack):
        self.controllers, self.stack = controllers, stack
        self.root = controllers.base / "1" / "pairs"
        controllers.begin([str(self.root / "hook.sh"), str(self.root)])
        make_folders(self.root)
        (self.root / "hook.sh").rename(self.root / "template.sh")
        (self.root / "pair-0" / "shared" / "storage" / "format").write_text("1\n")
        for name, first in (("hook.sh", ""), ("software.py", f"#!{sys.executable} -IS\n")):
            copy = self.root / name.removesuffix(".py")
            copy = self.root / "hook.sh" if name == "hook.sh" else copy
            copy.write_text(first + (SOURCES / name).read_text())
            copy.chmod(0o700)
        self.spaces = {name: f"bundlekit-{os.getpid()}-{name}" for name in (*MEMBERS, "client")}
        for space in self.spaces.values():
            self.run("ip", "netns", "add", space)
            stack.callback(self.run, "ip", "netns", "delete", space)
            self.run("ip", "-n", space, "link", "set", "lo", "up")
        self.connect()
        for serial in MEMBERS:
            self.keepalive(serial)
            self.software(serial, OLD)

    @staticmethod
    def run(*words):
        subprocess.run(words, check=True, capture_output=True, timeout=LIMIT)

    def connect(self):
        """Each member on a bridge in the namespace of the client."""
        client = self.spaces["client"]
        self.run("ip", "-n", client, "link", "add", "bridge", "type", "bridge")
        self.run("ip", "-n", client, "address", "add", "10.66.0.9/24", "dev", "bridge")
        self.run("ip", "-n", client, "link", "set", "bridge", "up")
        for number, (serial, (own, _)) in enumerate(MEMBERS.items()):
            space = self.spaces[serial]
            (self.root / f"{serial}.namespace").write_text(f"{space}\n")
            self.run("ip", "-n", client, "link", "add", f"port{number}", "type", "veth", "peer", "eth0", "netns", space)
            self.run("ip", "-n", client, "link", "set", f"port{number}", "master", "bridge", "up")
            self.run("ip", "-n", space, "address", "add", f"{own}/24", "dev", "eth0")
            self.run("ip", "-n", space, "link", "set", "eth0", "up")

    def keepalive(self, serial):
        own, priority = MEMBERS[serial]
        other = next(address for name, (address, _) in MEMBERS.items() if name != serial)
        (self.root / f"{serial}.weight").write_text("0\n")
        conf = self.root / f"{serial}.conf"
        conf.write_text(
            KEEPALIVED.format(root=self.root, serial=serial, priority=priority, own=own, other=other, address=ADDRESS)
        )
        pids = [f"--pid={self.root / serial}.keepalived", f"--vrrp_pid={self.root / serial}.vrrp"]
        self.start(serial, "keepalived", "-n", "-P", "-f", str(conf), *pids)

    def start(self, name, *words):
        """A process in a namespace, which ends with the test."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.spaces[name], *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def end():
            process.terminate()
            process.wait(LIMIT)

        self.stack.callback(end)
        return process

    def software(self, serial, version):
        words = [str(self.root / "software"), "serve", str(self.root), serial, version]
        process = subprocess.Popen(words)
        up = self.root / f"{serial}.up"
        wait_for(lambda: up.exists() and up.read_text() == f"{version}\n", f"{version} on {serial}")
        self.stack.callback(self.down, serial, process)

    def down(self, serial, process):
        """End what serves now, which a hook may have started, and wait for the one that this test started."""
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = int((self.root / f"{serial}.pid").read_text())
            os.kill(pid, 15)
            if pid != process.pid:
                wait_for(lambda: not at_work(pid), f"the end of process {pid}")
        process.terminate()
        process.wait(LIMIT)

    def poll(self):
        """Poll the address from the client's namespace, into a file of lines."""
        heard = self.root / "heard"
        with heard.open("w") as file:
            words = ["ip", "netns", "exec", self.spaces["client"], str(self.root / "software"), "poll", ADDRESS]
            process = subprocess.Popen(words, stdout=file)
        self.stack.callback(lambda: (process.terminate(), process.wait(LIMIT)))
        wait_for(lambda: OLD in heard.read_text(), "an answer from the address of the pair")
        return heard

    def format(self):
        return (self.root / "pair-0" / "shared" / "storage" / "format").read_text().strip()

    def up(self):
        return tuple(
            path.read_text().strip() if (path := self.root / f"{serial}.up").exists() else "" for serial in MEMBERS
        )


def away(lines):
    """How long each time lasted in which the address did not answer, from answer to answer, in seconds."""
    last, missed = None, False
    for line in lines:
        at, said = line.split()
        if said != "-":
            if missed and last is not None:
                yield float(at) - last
            last = float(at)
        missed = said == "-"


def tell(what, heard):
    """Print what the poll has measured up to now; without a line there is nothing that could have been measured."""
    lines = heard.read_text().splitlines()[:-1]
    assert lines
    times = list(away(lines))
    print(f"{what}: away {sum(times):.2f} s, at most {max(times, default=0.0):.2f} s at a time, {len(lines)} polls")  # noqa: T201


def test_the_address_is_away_from_the_last_answer_to_the_next():
    heard = ["1.00 a", "1.05 -", "1.10 -", "1.15 b", "1.20 b", "1.25 -", "1.30 b", "1.35 -"]
    assert [round(time, 2) for time in away(heard)] == [0.15, 0.1]


@pytest.fixture
def pair(memory_folder):
    if why := why_not():
        pytest.skip(why)
    with ExitStack() as stack:
        controllers = Controllers(memory_folder)
        stack.callback(controllers.close)
        yield Pair(controllers, stack)


ALL_NEW, ALL_OLD = (NEW_STORAGE, NEW, NEW), (OLD_STORAGE, OLD, OLD)
ENDS = {
    # what fails, and whether old software reads new storage: the end, hold, versions, the format, what serves
    ("", True): ("succeeded", False, ALL_NEW, "2", (NEW, NEW)),
    ("storage", True): ("reverted", True, ALL_OLD, "1", (OLD, OLD)),
    ("active", True): ("reverted", False, (NEW_STORAGE, OLD, OLD), "2", (OLD, OLD)),
    ("active", False): ("reverted", False, ALL_OLD, "1", (OLD, OLD)),
    ("standby", True): ("degraded", True, (NEW_STORAGE, NEW, NEW), "2", (NEW, "")),
    ("prepare", True): ("rejected", False, ALL_OLD, "1", (OLD, OLD)),
    ("busy", True): ("needs-operator", True, (NEW_STORAGE, OLD, OLD), "2", (OLD, OLD)),
    ("gate", True): ("degraded", True, ALL_NEW, "2", (NEW, NEW)),
}
"""Each end of the vendor's table."""


@pytest.mark.netns
@pytest.mark.parametrize(("fails", "compatible"), ENDS)
def test_a_real_pair_comes_to_the_end_that_the_vendor_promises(pair, fails, compatible):
    if compatible:
        (pair.root / "reads-next").touch()
    (pair.root / "fault").write_text(fails)
    heard = pair.poll()
    patience = {"apply": "10 s"} if fails == "busy" else {}
    end = pair.controllers.ask(state="state", compatible=compatible, **patience)
    found = end["kind"], end["hold"], versions_of_folders(pair.controllers), pair.format(), pair.up()
    assert found == ENDS[fails, compatible], end
    tell(f"{fails or 'nothing'} fails, old software reads new storage: {compatible}", heard)


@pytest.mark.netns
def test_a_real_pair_survives_the_death_of_its_controller(pair):
    (pair.root / "reads-next").touch()
    heard = pair.poll()
    deaths = 0
    for after in (0.4, 0.6, 0.5, 0.7, 0.6):
        deaths += pair.controllers.ask(state="state", after=after)["kind"] == "killed"
    end = pair.controllers.ask("last", state="state")
    assert deaths
    found = end["kind"], end["hold"], versions_of_folders(pair.controllers), pair.format(), pair.up()
    assert found == ENDS["", True], end
    tell(f"the controller dies {deaths} times", heard)
