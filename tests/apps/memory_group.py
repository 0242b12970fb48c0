"""A cgroup with a memory limit, for processes that enter it between fork and exec."""

import os
import pathlib


class MemoryGroup:
    """Of either version; raises OSError where this process may not make one."""

    def __init__(self, n_bytes):
        root, version_1 = pathlib.Path("/sys/fs/cgroup"), pathlib.Path("/sys/fs/cgroup/memory")
        is_version_1 = version_1.is_dir()
        self.path = (version_1 if is_version_1 else root) / f"mixtral-test-{os.getpid()}"
        self.path.mkdir()
        self.events = self.path / ("memory.oom_control" if is_version_1 else "memory.events")
        try:
            (self.path / ("memory.limit_in_bytes" if is_version_1 else "memory.max")).write_text(str(n_bytes))
            self.n_killed()
        except OSError:
            self.remove()
            raise

    def enter(self):
        (self.path / "cgroup.procs").write_text("0")

    def peak(self):
        """The most bytes that were in use, cached files among them; None where the system does not tell."""
        for name in "memory.max_usage_in_bytes", "memory.peak":
            if (self.path / name).exists():
                return int((self.path / name).read_text())
        return None

    def n_killed(self):
        [line] = [line for line in self.events.read_text().splitlines() if line.startswith("oom_kill ")]
        return int(line.split()[1])

    def remove(self):
        self.path.rmdir()
