"""The same calls on a thread pool and on a process pool: they share, and they don't."""

import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

seen: list[int] = []


def note(value: int) -> int:
    """Note a value in a list of this process, and return the process's id."""
    seen.append(value)
    return os.getpid()


def show(executor: Executor) -> None:
    """Make some calls, and tell what came of them here."""
    seen.clear()
    pids = set(executor.map(note, range(8)))
    print(
        f"{type(executor).__name__}: in this process: {pids == {os.getpid()}}; noted here: {len(seen)} of 8"
    )
    try:
        print(f"  a lambda: {executor.submit(lambda: 1).result()}")
    except Exception as error:
        print(f"  a lambda: {type(error).__name__}")


def main() -> None:
    """Show both pools."""
    with ThreadPoolExecutor(2) as threads:
        show(threads)
    with ProcessPoolExecutor(2) as processes:
        show(processes)


if __name__ == "__main__":
    main()
