"""The `producer` command: the group of all commands, and how it ends. Each command is in producer/commands/.

Exit codes: 0 fine; 1 results differ, calls failed, or a model is slower than --fail-if-slower allows;
2 bad input, or an unreachable broker; 130 Ctrl-C.

Modules are imported by the commands that need them, so that `--help` and completion answer at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType

import click

from producer.commands.blocking import blocking_command
from producer.commands.break_even import break_even_command
from producer.commands.cluster import cluster
from producer.commands.compare import compare
from producer.commands.completion import completion
from producer.commands.faults import faults_command
from producer.commands.futures import futures_command
from producer.commands.gil import gil_command
from producer.commands.options import INTERRUPTED, Group
from producer.commands.overload import overload_command
from producer.commands.pool_size import pool_size_command
from producer.commands.report import report_command
from producer.commands.run import run_command
from producer.commands.scale import scale_command
from producer.experiments.job import CannotRunError, InputError

TERMINATED = 143


class _Terminated(BaseException):
    """SIGTERM came. Not `SystemExit`, which a call may raise, and which then is its outcome."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="breakeven", prog_name="producer")
def cli() -> None:
    """One workload through every concurrency model that Python offers, side by side.

    \b
    Examples:
      producer compare                                all models, on sums of very uneven length
      producer compare fetch --models thread-pool,event-loop
      producer run mymodule:work --inputs calls.jsonl > results.jsonl
      producer break-even --quick                     from which size of a call on each model pays
      producer overload --quick                       calls arrive faster than they can be served
      producer futures                                futures live: wait, as_completed, cancel, timeouts
      producer pool-size io                           how many workers a pool should have
      producer blocking --quick                       an event loop's heartbeat, while calls run
      producer scale --quick                          how far the broker queue scales, and what limits it
      producer gil --quick                            what the GIL costs
      producer cluster up                             a broker, workers and Flower, until Ctrl-C
      producer faults                                 workers killed at work, beside plain Celery
      producer report run.json --html report.html     charts of what --json saved

    Where CELERY_BROKER_URL is set, the broker queue is the cluster that it names. Otherwise one is started
    on this machine for as long as a command runs.
    """  # noqa: D301 - click wants the backspace


for _command in (
    compare,
    run_command,
    break_even_command,
    futures_command,
    pool_size_command,
    blocking_command,
    overload_command,
    scale_command,
    gil_command,
    faults_command,
    report_command,
    cluster,
    completion,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line, and leave with its exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    code = _run(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if code and threading.active_count() > 1:
        # Calls that were given up still run in threads, which Python cannot end and would wait for: even for
        # daemons, where a pool started them.
        os._exit(code)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        result = cli.main(arguments, prog_name="producer", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 1
    except InputError as error:
        return _complain(str(error), 2)
    except CannotRunError as error:
        return _complain(str(error), 1)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted", INTERRUPTED)
    except _Terminated:
        return TERMINATED
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered has nowhere to go.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # as click does
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    from producer.reports.visible import visible

    with contextlib.suppress(OSError):
        print(f"producer: {visible(message)}", file=sys.stderr)  # noqa: T201, RUF100
    return code


_interrupts = 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Take the first Ctrl-C, and let the clean-up that it sets off go on; the third one ends it all."""
    global _interrupts  # noqa: PLW0603, RUF100
    _interrupts += 1
    if _interrupts == 1:
        raise KeyboardInterrupt
    if _interrupts > 2:
        os._exit(INTERRUPTED)  # the children notice by themselves, and leave
    _complain("cleaning up; once more to leave at once", 0)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated
