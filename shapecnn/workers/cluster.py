"""Run tasks on the nodes of a Ray cluster: a task whose process or node is lost runs again, up to a limit.

Ray Core starts each task in a process of its own, on a node that has enough free cores. No code travels: a function is
sent as its name, and every node has shapecnn installed. Meshes are opened by the pool of worker processes inside a task
(:mod:`shapecnn.workers.pool`), so a mesh that crashes its reader costs neither the task nor the node.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from shapecnn.errors import (
    BusyError,
    ClusterError,
    MissingLibraryError,
    ProcessError,
    ShapecnnError,
    UsageError,
    counted,
    quoted,
    reason,
    visible,
)

Task = TypeVar("Task")
Result = TypeVar("Result")

ATTEMPTS = 3
"""How often a task is begun at most, if its process or its node is lost."""

_AHEAD = 2  # tasks that are submitted beyond those that can run, so that no node waits for the next task
_GLANCE = 0.05  # seconds between two looks at the tasks
_BEAT = 1.0  # seconds between two looks at the cluster
_PATIENCE = 60.0  # seconds without any node on which a task could run
_LONGEST = 300  # characters of a message of Ray that are shown
_REACH = 5.0  # seconds to open a connection
_ADDRESS = re.compile(r"ray(?:://(?P<host>[^\s/:@\[\]]+|\[[0-9a-fA-F:.]+\]):(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a cluster that can run tasks.

    Attributes:
        id: Identifier that Ray gave to the node.
        name: Name of the machine.
        cores: Number of processor cores that tasks may use, at least 1.
        gpus: Number of GPUs that tasks may use.
    """

    id: str
    name: str
    cores: int
    gpus: int

    def slots(self, cores: int, gpus: int) -> int:
        """Return how many tasks the node can run at the same time.

        Args:
            cores: Number of cores of a task.
            gpus: Number of GPUs of a task.
        """
        return min(self.cores // cores, self.gpus // gpus if gpus else self.cores)


def require_address(address: str) -> tuple[str, int] | None:
    """Parse the value of ``--cluster``.

    Args:
        address: ``ray``, or ``ray://HOST:PORT``.

    Returns:
        Host and port of the head node; None for the cluster that this machine belongs to.

    Raises:
        UsageError: ``address`` has another form.

    Example:
        >>> require_address("ray://head.example.com:10001")
        ('head.example.com', 10001)
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        raise UsageError(
            f"--cluster {quoted(address)} is not of the form ray or ray://HOST:PORT, such as ray://head:10001."
        )
    return (match["host"], int(match["port"])) if match["host"] else None


@contextlib.contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """Connect this process to a running Ray cluster; the cluster is neither started nor stopped.

    If the calling program has connected itself already, its connection is used and stays.

    Args:
        address: ``ray`` for the cluster of the environment variable RAY_ADDRESS, or else the one that ``ray start``
            has started on this machine; ``ray://HOST:PORT`` for another.

    Yields:
        The cluster. When the block ends, tasks that still run are killed, if the connection is not the program's own.

    Raises:
        UsageError: ``address`` has another form.
        MissingLibraryError: Ray is not installed.
        ClusterError: The cluster cannot be reached.
    """
    place = require_address(address)
    try:
        import ray
    except ImportError as error:
        raise MissingLibraryError(
            f"--cluster needs Ray, which cannot be loaded ({reason(error)}): pip install 'shapecnn[ray]'"
        ) from None
    own = not ray.is_initialized()
    if own:
        _require_reachable(place)
        _connect(ray, address if place else "auto")
    try:
        yield Cluster(ray)
    finally:
        if own:
            ray.shutdown()


def _require_reachable(place: tuple[str, int] | None) -> None:
    """Raise ClusterError if no process listens at the address of a cluster; Ray itself would try for minutes."""
    named = os.environ.get("RAY_ADDRESS", "").rpartition(":")
    host, port = place or (named[0].removeprefix("ray://"), int(named[2]) if named[2].isdigit() else 0)
    if not port:
        return
    try:
        socket.create_connection((host.strip("[]"), port), _REACH).close()
    except OSError as error:
        raise ClusterError(
            f"The Ray cluster at {host}:{port} cannot be reached ({error.strerror or error}): check the address"
            f"{'' if place else ' in RAY_ADDRESS'}, and whether the cluster runs."
        ) from None


def _connect(ray: Any, address: str) -> None:
    """Connect to a cluster, without effects on this process that Ray would have."""
    main = threading.current_thread() is threading.main_thread()
    former = signal.getsignal(signal.SIGTERM)
    for last in (address == "auto", True):  # the first connection through ray:// fails at times, and the next does not
        try:
            # Ray lets the processes of tasks import from the driver's current folder, which may hold anything.
            with contextlib.chdir(os.path.abspath(os.sep)):
                ray.init(address=address, log_to_driver=False, logging_level="CRITICAL")
            logging.getLogger("ray").setLevel(logging.CRITICAL)  # else ray:// tells of attempts to connect again
            ray._private.worker._worker_logs_enabled = False  # else Ray prints the loss of a node on stdout
            return
        except ConnectionError as error:
            if last:
                raise _unreachable(address, error) from None
        except (RuntimeError, OSError, ValueError) as error:  # such as another version of Ray or of Python
            raise ClusterError(f"The Ray cluster cannot be used: {_joined(error)}.") from None
        finally:
            if main and former is not None:  # None: not set from Python
                signal.signal(signal.SIGTERM, former)
        ray.shutdown()


def _unreachable(address: str, error: Exception) -> ClusterError:
    if address != "auto":
        return ClusterError(f"The Ray cluster at {address} cannot be reached: {_joined(error)}.")
    return ClusterError(
        "No Ray cluster runs on this machine: start one with `ray start --head`, or name one with "
        "--cluster ray://HOST:PORT."
    )


def _joined(error: Exception) -> str:
    """Put a message of Ray on one line; of the traceback of another process, only the last line."""
    text = str(error).strip(" .\n")
    text = text.rpartition("\n")[2] if "Traceback (most recent call last)" in text else text
    return visible(" ".join(text.split())[:_LONGEST])


class Cluster:
    """A Ray cluster to which this process is connected; see :func:`connected`."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def nodes(self) -> list[Node]:
        """Return the nodes that can run tasks now.

        Raises:
            ClusterError: The connection to the cluster is lost.
        """
        nodes = []
        for node in self._ask(self._ray.nodes):
            resources = node["Resources"]
            if node["Alive"] and resources.get("CPU", 0) >= 1:
                cores, gpus = int(resources["CPU"]), int(resources.get("GPU", 0))
                nodes.append(Node(node["NodeID"], node["NodeManagerHostname"], cores, gpus))
        return nodes

    def slots(self, cores: int, gpus: int = 0) -> int:
        """Return how many tasks can run at the same time now.

        Args:
            cores: Number of cores of a task.
            gpus: Number of GPUs of a task.
        """
        return sum(node.slots(cores, gpus) for node in self.nodes())

    def on_each_node(self, function: Callable[[Task], None], task: Task, nodes: Iterable[Node]) -> None:
        """Call a function once on each of some nodes, and wait for all; a node that is lost meanwhile is passed over.

        Args:
            function: A function of this package, importable by name. It raises a ShapecnnError if a node cannot be
                used.
            task: Argument of the calls. It must be picklable.
            nodes: The nodes.

        Raises:
            ShapecnnError: What a call raised, with the name of the node.
            ClusterError: The connection to the cluster is lost.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        calls = []
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node.id, soft=False)
            options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": there}
            calls.append(self._ask(self._ray.remote(_attempt).options(**options).remote, function, task))
        for call in calls:
            _, error = self._outcome(call)
            if error is not None and not isinstance(error, ClusterError):
                raise error

    def run(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        *,
        cores: int,
        gpus: int = 0,
        beat: Callable[[], None],
    ) -> Generator[tuple[Task, Result | ClusterError], None, None]:
        """Call a function on each task somewhere in the cluster, and yield the results as they finish.

        A task whose process or node is lost, or that finds its output locked, is begun again, up to :data:`ATTEMPTS`
        times. Only as many tasks as the cluster can run, and two more, are submitted at a time; the next one is taken
        from ``tasks`` then. Closing the generator kills the tasks that run.

        Args:
            function: A function of this package, importable by name.
            tasks: Arguments of the calls, one for each call. They must be picklable.
            cores: Number of processor cores of a task.
            gpus: Number of GPUs of a task.
            beat: Called about once a second.

        Yields:
            A pair for each task: the task, and its result, or the error if it was lost too often.

        Raises:
            ShapecnnError: A call raised an error that would affect all tasks, such as a missing library. The message
                begins with the name of the node.
            OSError: A call raised an operating system error, such as a full disk.
            ClusterError: There has been no node for the tasks for a minute, or the connection to the cluster is lost.
        """
        call = self._ray.remote(_attempt).options(num_cpus=cores, num_gpus=gpus, max_retries=0)
        source, again = iter(tasks), deque[tuple[Task, int]]()
        running: dict[Any, tuple[Task, int]] = {}
        slots, alive, looked = 0, time.monotonic(), -math.inf
        try:
            while True:
                if time.monotonic() - looked > _BEAT:
                    looked = time.monotonic()
                    slots = self.slots(cores, gpus)
                    alive = looked if slots else alive
                    beat()
                if looked - alive > _PATIENCE:
                    raise ClusterError(f"No node of the cluster has {_resources(cores, gpus)} any more.")
                while len(running) < slots + _AHEAD:
                    following = again.popleft() if again else next(((task, 1) for task in source), None)
                    if following is None:
                        break
                    running[self._ask(call.remote, function, following[0])] = following
                if not running:
                    return
                # Python's own sleep: inside of Ray's, each signal would become Ctrl-C.
                finished, _ = self._ask(self._ray.wait, [*running], num_returns=len(running), timeout=0)
                if not finished:
                    time.sleep(_GLANCE)
                for each in finished:
                    task, attempt = running.pop(each)
                    result, error = self._outcome(each)
                    if error is None:
                        yield task, result
                    elif not isinstance(error, ClusterError | BusyError):
                        raise error
                    elif attempt < ATTEMPTS:
                        again.append((task, attempt + 1))
                    else:
                        yield task, ClusterError(str(error))
        finally:
            with contextlib.suppress(*self._losses()):  # the first error is the one to tell
                for each in running:
                    self._ray.cancel(each, force=True)

    def _losses(self) -> tuple[type[Exception], ...]:
        """Return the errors that Ray raises when the head node is lost."""
        errors: list[type[Exception]] = [ConnectionError, self._ray.exceptions.RayError]
        with contextlib.suppress(ImportError):  # without it, there is no connection through ray://
            from grpc import RpcError

            errors.append(RpcError)
        return tuple(errors)

    def _ask(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function of Ray; raise ClusterError if the connection is lost."""
        try:
            return call(*arguments, **options)
        except self._losses():
            raise _lost() from None

    def _outcome(self, call: Any) -> tuple[Any, Exception | None]:
        """Wait for a call; return its result or its error, a ClusterError if its process or its node was lost."""
        from ray import exceptions

        try:
            result, error = self._ray.get(call)
        except exceptions.OutOfMemoryError:
            return None, ClusterError(
                "its node ran out of memory: start nodes with fewer cores (ray start --num-cpus), or give them memory"
            )
        except exceptions.RayTaskError as failed:  # neither an error of a mesh nor of the system
            return None, ProcessError(
                f"An unexpected error occurred in a task ({type(failed.cause).__name__}: {reason(failed.cause)}): use "
                f"the same environment on all nodes, or else report this bug."
            )
        except exceptions.RayError:
            return None, ClusterError("its process died, or its node was lost")
        except self._losses():
            raise _lost() from None
        return result, error


def _attempt(function: Callable[[Task], Result], task: Task) -> tuple[Result | None, Exception | None]:
    """Call a function on a node, and return its result or its error: Ray would wrap an error that is raised."""
    try:
        return function(task), None
    except ShapecnnError as error:
        if not isinstance(error, ClusterError | BusyError):
            error.args = (f"Node {socket.gethostname()}: {error}", *error.args[1:])
        return None, error
    except OSError as error:
        if error.strerror:
            error.strerror += f" on node {socket.gethostname()}"
            error.args = (error.errno, error.strerror)  # what is pickled
        return None, error


def _lost() -> ClusterError:
    return ClusterError(
        "The connection to the Ray cluster was lost. Finished work is kept; when the cluster runs, run the same "
        "command again to continue."
    )


def _resources(cores: int, gpus: int) -> str:
    return counted(cores, "core") + (f" and {counted(gpus, 'GPU')}" if gpus else "")
