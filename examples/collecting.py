"""The same four calls, collected in three ways: what is there, and when."""

import time
from concurrent.futures import ThreadPoolExecutor, as_completed, wait


def work(seconds: float) -> float:
    """Take so long."""
    time.sleep(seconds)
    return seconds


def main() -> None:
    """Collect the results of calls of which the first takes longest."""
    inputs = [1.0, 0.1, 0.2, 0.3]
    with ThreadPoolExecutor(4) as executor:
        begun = time.perf_counter()
        for value in executor.map(work, inputs):
            print(f"map           {value} at {time.perf_counter() - begun:.1f} s")
        begun = time.perf_counter()
        for future in as_completed([executor.submit(work, value) for value in inputs]):
            print(f"as_completed  {future.result()} at {time.perf_counter() - begun:.1f} s")
        begun = time.perf_counter()
        done, not_done = wait([executor.submit(work, value) for value in inputs], timeout=0.5)
        print(f"wait          {len(done)} done, {len(not_done)} not, at {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
