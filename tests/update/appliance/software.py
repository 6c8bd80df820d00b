"""The software of an appliance in a network namespace, and the client that polls the address of the pair.

``serve ROOT SERIAL VERSION`` answers each datagram with its version, ``poll ADDRESS`` prints what it hears every 50 ms,
``holders ROOT`` prints how many members have the address. Runs without site packages, so that it starts at once.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PORT = 7000
INTERVAL = 0.05
READS = {"5.20.03": ("1",), "5.20.03+": ("1", "2"), "5.40.00": ("1", "2")}
"""The data formats that each version comes up over; ``+`` is the build that reads the next format as well."""


def serve(root: Path, serial: str, version: str) -> None:
    """Come up over the storage, or end; then answer until told to stop."""
    os.closerange(3, 256)  # a daemon keeps no lock of the hook that started it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    data = (root / "pair-0" / "shared" / "storage" / "format").read_text().strip()
    build = f"{version}+" if (root / "reads-next").exists() and version == "5.20.03" else version
    if data not in READS.get(build, ()):
        raise SystemExit(f"{version} does not read format {data}")
    (root / f"{serial}.pid").write_text(str(os.getpid()))
    os.execvp("ip", [  # noqa: S606 -- root's own tool
        "ip", "netns", "exec", (root / f"{serial}.namespace").read_text().strip(),
        sys.executable, "-IS", __file__, "answer", str(root / f"{serial}.up"), version,
    ])  # fmt: skip


def answer(up: Path, version: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("", PORT))
        up.write_text(f"{version}\n")
        while True:
            _, whence = here.recvfrom(64)
            here.sendto(version.encode(), whence)


def poll(address: str) -> None:
    while True:
        began = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
            here.settimeout(INTERVAL)
            try:
                here.sendto(b"?", (address, PORT))
                heard = here.recv(64).decode()
            except OSError:
                heard = "-"
        print(f"{began:.3f} {heard}", flush=True)  # noqa: T201 -- what the test reads
        time.sleep(max(0.0, began + INTERVAL - time.monotonic()))


def holders(root: Path) -> None:
    count = 0
    for name in root.glob("*.namespace"):
        show = ["ip", "-n", name.read_text().strip(), "-o", "-4", "address", "show"]
        count += "10.66.0.100/" in subprocess.run(show, capture_output=True, text=True, check=True).stdout
    print(count)  # noqa: T201 -- what the hook reads


match sys.argv[1:]:
    case ["serve", root, serial, version]:
        serve(Path(root), serial, version)
    case ["answer", up, version]:
        answer(Path(up), version)
    case ["poll", address]:
        poll(address)
    case ["holders", root]:
        holders(Path(root))
