"""A pseudo-terminal with an emulator behind it."""

import copy
import fcntl
import os
import pty
import struct
import sys
import termios
import threading

import pyte

from tests.waiting import wait_for

ALTERNATE = 1049
"""The private mode of xterm for a screen of its own, after which the screen from before is there again."""


class Screen(pyte.Screen):
    """A screen that also knows the alternate one, which pyte does not."""

    screens = 0
    saved = None

    def set_mode(self, *modes, **options):
        if ALTERNATE in modes and options.get("private"):
            self.screens += 1
            self.saved = copy.deepcopy(self.buffer), copy.copy(self.cursor)
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes, **options):
        super().reset_mode(*modes, **options)
        if ALTERNATE in modes and options.get("private"):
            self.buffer, self.cursor = self.saved
            self.dirty.update(range(self.lines))


class Terminal:
    """Standard output and error of this process, as an operator sees them."""

    def __init__(self, monkeypatch, columns, rows):
        self.master, self.slave = pty.openpty()
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.written = bytearray()
        self.lock = threading.Lock()
        self.resize(columns, rows)
        monkeypatch.setenv("TERM", "xterm-256color")
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        self.files = [open(os.dup(self.slave), "w", encoding="utf-8", closefd=True) for _ in range(2)]  # noqa: SIM115
        for name, file in zip(("stdout", "stderr"), self.files, strict=True):
            monkeypatch.setattr(sys, name, file)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def screens(self):
        return self.screen.screens

    def resize(self, columns, rows):
        with self.lock:
            self.screen.resize(rows, columns)
            fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the last descriptor of the other end is closed
                return
            self.written += data
            with self.lock:
                self.stream.feed(data)

    def now(self):
        """The lines on the screen."""
        with self.lock:
            return [line.rstrip() for line in self.screen.display]

    def shows(self, lines):
        """Wait until these are the lines on the screen."""
        wanted = [line.rstrip() for line in lines]
        wanted += [""] * (self.screen.lines - len(wanted))
        wait_for(lambda: self.now() == wanted, "the frame")

    def shown(self):
        """The lines on the screen after the last byte."""
        for file in self.files:
            file.close()
        os.close(self.slave)
        self.reader.join()
        os.close(self.master)
        return self.now()
