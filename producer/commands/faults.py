"""`producer faults`."""

from __future__ import annotations

import sys

import click

from producer.commands.options import Destination, consoles, finish, saved


@click.command("faults")
@click.option("--quick", is_flag=True, help="Fewer and shorter calls, and fewer kills.")
@saved
def faults_command(quick: bool, destination: Destination) -> None:
    """Kill workers while they work, and see what becomes of their calls.

    500 calls of 0.5 s run on two Celery workers of this machine, and five times a whole worker, parent and
    children, is killed and replaced: first with this project's settings, then with Celery's defaults, then
    with the one that guides add to them (acks_late). It takes about two minutes. CELERY_BROKER_URL plays no
    part: nothing is killed but what was started here.

    Exit code 1 says that a call was lost with this project's settings.

    \b
    Examples:
      producer faults --quick
      producer faults --json faults.json
    """  # noqa: D301 - click wants the backspace
    from producer.cluster import ClusterError
    from producer.experiments.faults import QUICK, Plan, faults
    from producer.reports.faults import Lines, Spinner
    from producer.reports.progress import animated

    out, err = consoles()
    try:
        with Spinner(out) if animated(out) else Lines(err) as observer:
            result = faults(QUICK if quick else Plan(), observer)
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    finish(result, destination)
    if result.drills[0].lost:
        sys.exit(1)
