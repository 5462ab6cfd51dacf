"""Run a job's entry point as a container would: PID 1, its folder at /opt/ml, and no network when isolated.

`python container.py launch <spec.json>` starts one process tree a host; `inside` prepares the mounts and becomes the
entry point. Where namespaces are not allowed, the entry point runs as a plain process and says so.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

OPT_ML = "/opt/ml"
_SPACES = ["--user", "--map-root-user", "--mount", "--pid", "--fork", "--net"]


def namespaces_allowed() -> bool:
    """Whether this machine lets us make user, mount, PID and network namespaces."""
    try:
        return subprocess.run(["unshare", *_SPACES, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def start(folder: Path, hosts: list[str], command: list[str], environment: dict[str, str], isolated: bool) -> "Tree":
    """Start the entry point on every host; each host's output goes to `<folder>/<host>.log`."""
    spec = {"folder": str(folder), "hosts": hosts, "command": command, "environment": environment}
    (folder / "spec.json").write_text(json.dumps(spec))
    if not namespaces_allowed():
        print(
            "namespaces are not allowed here: the job runs as a plain process, not as PID 1, "
            "with its folder in the place of /opt/ml and without network isolation",
            file=sys.stderr,
        )
        return Tree([_plain(folder, host, command, environment) for host in hosts], wrapped=False)
    net = ["--net"] if isolated else []
    launcher = ["unshare", "--user", "--map-root-user", *net, sys.executable, __file__, "launch"]
    return Tree([subprocess.Popen([*launcher, str(folder / "spec.json")], start_new_session=True)], wrapped=True)


class Tree:
    """The processes of one job."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], wrapped: bool) -> None:
        self._processes, self._wrapped = processes, wrapped

    def wait(self) -> int:
        """The worst exit code of the hosts."""
        return max(process.wait() for process in self._processes)

    def terminate(self) -> None:
        """SIGTERM to the first process of each container, as SageMaker does."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as when a spot instance is taken away."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        for process in self._processes:
            for pid in _first_pids(process.pid) if self._wrapped else [process.pid]:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue


def _first_pids(launcher: int) -> list[int]:
    """The PID 1 of each container: a grandchild of the launcher (launcher -> unshare -> PID 1)."""
    return [first for middle in _children(launcher) for first in _children(middle)]


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:
        return []


def _plain(folder: Path, host: str, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    place = str(folder / host)
    environment = {name: value.replace(OPT_ML, place) for name, value in environment.items()}
    with (folder / f"{host}.log").open("ab") as log:
        return subprocess.Popen(
            [word.replace(OPT_ML, place) for word in command], env=environment, stdout=log, stderr=log
        )


def launch(spec: dict[str, Any]) -> int:
    """In the shared user and network namespace: one PID and mount namespace a host."""
    _loopback_up()
    processes = []
    for host in spec["hosts"]:
        command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        with open(f"{spec['folder']}/{host}.log", "ab") as log:
            arguments = [*command, sys.executable, __file__, "inside", f"{spec['folder']}/spec.json", host]
            processes.append(subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
    return max(abs(process.wait()) for process in processes)


def inside(spec: dict[str, Any], host: str) -> None:
    """As PID 1: the host's folder becomes /opt/ml, its input read-only; then this process becomes the entry point."""
    folder = Path(spec["folder"])
    kept, names = folder / "opt", folder / "hosts"
    kept.mkdir(exist_ok=True)
    _mount("--rbind", "/opt", str(kept))
    _mount("-t", "tmpfs", "tmpfs", "/opt")
    for child in kept.iterdir():
        target = Path("/opt") / child.name
        target.mkdir() if child.is_dir() else target.touch()
        _mount("--rbind", str(child), str(target))
    Path(OPT_ML).mkdir()
    _mount("--bind", str(folder / host), OPT_ML)
    _mount("--bind", f"{OPT_ML}/input", f"{OPT_ML}/input")
    _mount("-o", "remount,bind,ro", f"{OPT_ML}/input")
    names.write_text("127.0.0.1 localhost " + " ".join(spec["hosts"]) + "\n")
    _mount("--bind", str(names), "/etc/hosts")
    os.chdir("/")
    os.execvpe(spec["command"][0], spec["command"], spec["environment"])


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _loopback_up() -> None:
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
        except PermissionError:
            return  # the machine's own network: its loopback is up


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as stream:
        job = json.load(stream)
    sys.exit(launch(job) if sys.argv[1] == "launch" else inside(job, sys.argv[3]))
