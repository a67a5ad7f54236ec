"""The fixtures: servers start when a test asks for them, are as new for each test, and end with it or with the session."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testbed.accounts import Accounts
from testbed.guard import Guard
from testbed.network import Network
from testbed.proxy import Proxy
from testbed.slurm import Slurm
from testbed.sshd import Door, Server, Sshd

if TYPE_CHECKING:
    from testbed.kernel import Kernel


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture(scope="session")
def ground(guard: Guard) -> Path:
    """Return the folder of all servers, which every account may enter."""
    folder = Path(tempfile.mkdtemp(prefix=f"hnb{os.getpid()}-"))
    folder.chmod(0o755)
    guard.watch("folder", folder)
    return folder


@pytest.fixture(scope="session")
def all_accounts(ground: Path, guard: Guard) -> Accounts:
    return Accounts(ground, guard)


@pytest.fixture
def accounts(all_accounts: Accounts) -> Iterator[Accounts]:
    """Give accounts by login shell; after the test nothing of theirs runs, and their homes are empty."""
    yield all_accounts
    all_accounts.clear()


@pytest.fixture
def sshd(ground: Path, accounts: Accounts, guard: Guard) -> Iterator[Sshd]:
    """Give what starts sshds: `sshd.up("login", options=["MaxSessions 1"])`."""
    with closing(Sshd(public(ground, "sshd-"), accounts, guard)) as servers:
        yield servers


@pytest.fixture
def server(sshd: Sshd) -> Server:
    """Give one plain sshd."""
    return sshd.up()


@pytest.fixture
def totp_server(sshd: Sshd) -> Server:
    """Give an sshd that asks for a password and a one-time code."""
    return sshd.up_with_codes()


@pytest.fixture
def proxy() -> Iterator[Callable[[Door], tuple[Proxy, Door]]]:
    """Give what puts a proxy in front of a server: it returns the proxy, which has the faults, and the door through it."""
    with ExitStack() as proxies:

        def before(server: Door) -> tuple[Proxy, Door]:
            net = proxies.enter_context(closing(Proxy(server.address, server.port)))
            return net, server.through(net.port)

        yield before


@pytest.fixture(scope="session")
def one_slurm(ground: Path, guard: Guard) -> Iterator[Slurm]:
    with closing(Slurm(public(ground, "slurm-"), guard)) as cluster:
        yield cluster.up()


@pytest.fixture(scope="session")
def one_slurm_dbd(ground: Path, guard: Guard) -> Iterator[Slurm]:
    with closing(Slurm(public(ground, "slurm-"), guard, dbd=True)) as cluster:
        yield cluster.up()


@pytest.fixture
def slurm(one_slurm: Slurm) -> Slurm:
    """Give a cluster of two nodes with eight processors each, without accounting; no job of another test is left."""
    one_slurm.heal()
    return one_slurm


@pytest.fixture
def slurm_dbd(one_slurm_dbd: Slurm) -> Slurm:
    """Give one with accounting; what sacct tells goes back to the first test."""
    one_slurm_dbd.heal()
    return one_slurm_dbd


@pytest.fixture
def slurm_server(sshd: Sshd, slurm: Slurm) -> Server:
    """Give an sshd that is the login node of `slurm`."""
    return sshd.up("login", env=slurm.env)


@pytest.fixture
def slurms(ground: Path, guard: Guard) -> Iterator[Callable[..., Slurm]]:
    """Give what starts clusters for one test, by the options of Slurm; `network=True` puts each node into a namespace."""
    with ExitStack() as clusters:

        def start(*, network: bool = False, nodes: int = 2, **options: Any) -> Slurm:
            folder = public(ground, "slurm-")
            net = Network(folder, guard, nodes=nodes) if network else None
            if net:
                clusters.callback(net.close)
            return clusters.enter_context(closing(Slurm(folder, guard, nodes=nodes, network=net, **options))).up()

        yield start


@pytest.fixture
def jupyter(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own, and let IPython and Jupyter keep theirs apart, too."""
    monkeypatch.chdir(tmp_path)
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


@pytest.fixture
def kernels(jupyter: Path) -> Iterator[Callable[..., Kernel]]:
    """Give what starts kernels: `kernels("digits.ipynb")`, in this test's folder; the extension is loaded."""
    from testbed.kernel import Kernel

    started: list[Kernel] = []
    with ExitStack() as alive:

        def start(notebook: str = "", *, folder: Path = jupyter, load: bool = True) -> Kernel:
            kernel = alive.enter_context(closing(Kernel(folder, notebook)))
            started.append(kernel)
            if load:
                assert not kernel.run("%load_ext hybridnb").error
            return kernel

        yield start
    for kernel in started:
        assert "Traceback" not in kernel.complaints, kernel.complaints


@pytest.fixture
def kernel(kernels: Callable[..., Kernel]) -> Kernel:
    """Give the kernel of the notebook study.ipynb."""
    return kernels("study.ipynb")


def public(ground: Path, prefix: str) -> Path:
    """Make a folder that every account may enter."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=ground))
    folder.chmod(0o755)
    return folder
