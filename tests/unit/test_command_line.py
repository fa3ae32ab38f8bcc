"""The `producer` command as a user meets it: what it says, what it leaves with, and what it never shows."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes_for_tests import left
from runs_for_tests import rounds, run_of

from producer import cli
from producer.commands import options
from producer.experiments.blocking import Heartbeats
from producer.experiments.futures import Lives
from producer.experiments.job import job
from producer.measurement.result import load, save
from producer.measurement.run import Run as Comparison
from producer.models import MODELS
from worker.workloads import WORKLOADS

BOUND = 30  # seconds that nothing here comes near

WORK = """
import asyncio, os, sys, time
from pathlib import Path

def square(n):
    return n * n

async def square_async(n):
    return n * n

def fail_if_odd(n):
    if n % 2:
        raise LookupError(n)
    return n

def pid(n):
    return os.getpid()

def leave(n):
    sys.exit(n)

async def leave_async(n):
    sys.exit(n)

def die(n):
    os._exit(3)

def hold(directory):
    Path(directory, "begun").touch()
    end = time.monotonic() + 60
    while not Path(directory, "gate").exists() and time.monotonic() < end:
        time.sleep(0.005)

async def hold_async(directory):
    Path(directory, "begun").touch()
    end = time.monotonic() + 60
    while not Path(directory, "gate").exists() and time.monotonic() < end:
        await asyncio.sleep(0.005)

nameless = lambda n: n
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with the module `work` and inputs for it, and no cluster."""
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "calls.jsonl").write_text("[1]\n[2]\n[3]\n")
    (tmp_path / "bad.jsonl").write_text("[1]\n[2\n")
    (tmp_path / "hold.jsonl").write_text(json.dumps([str(tmp_path)]) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "work", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "producer", *arguments]


def producer(*arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:  # noqa: A002 - as in run
    """Run the command as a user does."""
    done = subprocess.run(
        command(*arguments), input=input, capture_output=True, text=True, check=False, timeout=BOUND
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def refusal(here: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command in this process, which is quicker, and return what it says as it leaves with 2."""

    def refused(*arguments: str) -> str:
        assert cli._run(list(arguments)) == 2
        said = capfd.readouterr()
        assert said.out == ""
        assert "Traceback" not in said.err
        return said.err

    return refused


# help and completion


@pytest.mark.parametrize("arguments", [[], ["cluster"]])
def test_without_a_command_the_help_is_shown(refusal: Callable[..., str], arguments: list[str]) -> None:
    assert refusal(*arguments).startswith("Usage: producer")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["compare", "--help"], ["run", "-h"], ["cluster", "up", "-h"]]
)
def test_help_has_examples(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert cli._run(arguments) == 0
    said = capsys.readouterr().out
    assert "Example" in said
    assert "producer " in said


def test_the_help_of_compare_names_all_workloads_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["compare", "--help"]) == 0
    words = re.split(r"[\s,.]+", capsys.readouterr().out)
    assert {*WORKLOADS, *MODELS} <= set(words)


def test_the_version_is_there() -> None:
    assert producer("--version").stdout.startswith("producer, version ")


def test_completion_for_bash_completes_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._run(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "_PRODUCER_COMPLETE=bash_complete" in script
    assert "complete -o nosort -F _producer_completion producer" in script


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("producer compare di", ["digest"]),
        ("producer compare --models thread-pool,pro", ["thread-pool,process-pool"]),
        ("producer run work:square --model thr", ["thread-per-request", "thread-pool"]),
        ("producer comp", ["compare", "completion"]),
    ],
)
def test_workloads_models_and_commands_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, completed: list[str]
) -> None:
    monkeypatch.setenv("_PRODUCER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    cli._run([])
    assert [line.partition(",")[2] for line in capsys.readouterr().out.splitlines()] == completed


# what can't be used ends with 2 and says what would do


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("comparr", "there is no command 'comparr': did you mean 'compare'?"),
        ("cluster xyzzy", "there is no command 'xyzzy': there are status, up"),
        ("compare fecth", "there is no workload 'fecth': did you mean 'fetch'?"),
        ("compare xyzzy", "there is no workload 'xyzzy': there are sum, digest,"),
        ("compare --models sequentail", "there is no model 'sequentail': did you mean 'sequential'?"),
        ("compare --models xyzzy", "there is no model 'xyzzy': there are sequential, thread-per-request,"),
        ("compare --models ,", "names no model"),
        ("compare noop --workers 0", "'--workers': 0 is not in the range x>=1"),
        ("compare noop --tasks 0", "'--tasks': 0 is not in the range x>=1"),
        ("compare noop --budget 0", "'--budget': 0.0 is not in the range x>0"),
        ("compare noop --timeout -1", "'--timeout': -1.0 is not in the range x>0"),
        ("compare work:square", "work:square needs inputs: --inputs FILE"),
        ("compare noop --inputs nothing.jsonl", "there is no file nothing.jsonl"),
        ("compare noop --json nowhere/run.json", "cannot write nowhere/run.json: there is no such directory"),
        ("compare digest --split", "--split cuts ranges, which only the workload sum has"),
        ("futures --model thread-pool --models process-pool", "--model and --models exclude each other"),
        ("futures --quick --model event-loop", "event-loop needs a coroutine function (async def)"),
        ("blocking --inputs calls.jsonl", "--inputs needs the function that they are for"),
        ("blocking work:square", "work:square needs inputs: --inputs FILE"),
        ("blocking fecth", "there is no workload 'fecth': did you mean 'fetch'?"),
        ("blocking sum --quick --models event-loop", "event-loop needs a coroutine function (async def)"),
        ("futures --timeout 0", "'--timeout': 0.0 is not in the range x>0"),
        ("futures work:square", "work:square needs inputs: --inputs FILE"),
        ("run work:square", "Missing option '--inputs'"),
        ("run work:sqare --inputs calls.jsonl", "work has no function 'sqare': did you mean 'square'?"),
        ("run wrok:square --inputs calls.jsonl", "there is no module 'wrok': did you mean 'work'?"),
        ("run work:nameless --inputs calls.jsonl", "can't be found again by other processes: define it with"),
        ("run work:square --inputs cals.jsonl", "there is no file cals.jsonl: did you mean 'calls.jsonl'?"),
        ("run work:square --inputs bad.jsonl", "bad.jsonl, line 2: not JSON"),
        ("run work:square --inputs calls.jsonl --workers 0", "'--workers': 0 is not in the range x>=1"),
        ("run work:square --inputs calls.jsonl --model thread-pol", "did you mean 'thread-pool'?"),
        ("run work:square --inputs calls.jsonl --model event-loop", "event-loop needs a coroutine function"),
        (
            "run work:square_async --inputs calls.jsonl --model thread-pool",
            "thread-pool needs a plain function",
        ),
        ("run work:square --inputs calls.jsonl --output calls.jsonl", "would overwrite the inputs"),
        (
            "cluster status",
            "CELERY_BROKER_URL is not set: it names the cluster; `producer cluster up` starts",
        ),
    ],
)
def test_what_cannot_be_used_is_said_with_what_would_do(
    refusal: Callable[..., str], arguments: str, reason: str
) -> None:
    said = refusal(*arguments.split())
    assert said.startswith("producer: ")
    assert reason in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["--inputs", "missing.jsonl"],
        ["--inputs", "bad.jsonl"],
        ["--inputs", "calls.jsonl", "--model", "event-loop"],
    ],
)
def test_what_cannot_run_leaves_the_results_of_before_alone(
    refusal: Callable[..., str], here: Path, arguments: list[str]
) -> None:
    (here / "results.jsonl").write_text("of an hour ago\n")
    refusal("run", "work:square", *arguments, "--output", "results.jsonl")
    assert (here / "results.jsonl").read_text() == "of an hour ago\n"


def test_a_mistake_ends_the_process_itself_with_2(here: Path) -> None:
    done = producer("compare", "fecth")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "producer: there is no workload 'fecth': did you mean 'fetch'?\n"


def test_a_workload_that_no_chosen_model_can_run_ends_with_2(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli._run(["compare", "sum", "--models", "event-loop"]) == 2
    assert "none of the models can run this here" in capfd.readouterr().err


# run


def test_results_come_in_the_order_of_the_inputs(here: Path) -> None:
    done = producer("run", "work:square", "--inputs", "calls.jsonl")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"index": 0, "value": 1},
        {"index": 1, "value": 4},
        {"index": 2, "value": 9},
    ]


def test_inputs_come_from_standard_input_too(here: Path) -> None:
    done = producer("run", "math:factorial", "--inputs", "-", "--model", "sequential", input="[5]\n")
    assert json.loads(done.stdout) == {"index": 0, "value": 120}


@pytest.fixture
def run_here(here: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[Any], str]]:
    """`producer run` in this process, which is quicker: exit code, records, and what it says."""

    def run_command(*arguments: str) -> tuple[int, list[Any], str]:
        code = cli._run(["run", *arguments])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return run_command


Run = Callable[..., tuple[int, list[Any], str]]


def test_a_coroutine_function_runs_on_the_event_loop(run_here: Run) -> None:
    code, records, _ = run_here("work:square_async", "--inputs", "calls.jsonl", "--unordered")
    assert code == 0
    assert sorted(record["value"] for record in records) == [1, 4, 9]


def test_results_go_to_a_file(run_here: Run, here: Path) -> None:
    options = ("--inputs", "calls.jsonl", "--model", "thread-pool", "--output", "out.jsonl")
    assert run_here("work:square", *options) == (0, [], "")
    assert len((here / "out.jsonl").read_text().splitlines()) == 3


def test_failed_calls_are_records_and_end_with_1(run_here: Run) -> None:
    code, records, said = run_here("work:fail_if_odd", "--inputs", "calls.jsonl", "--model", "thread-pool")
    assert code == 1
    assert ["error" in record for record in records] == [True, False, True]
    assert "raise LookupError(n)" in records[0]["error"]["traceback"]
    assert said == "producer: 2 of 3 calls failed\n"


@pytest.mark.parametrize(("function", "model"), [("leave", "sequential"), ("leave_async", "event-loop")])
def test_a_function_that_exits_fails_its_calls_and_not_the_command(
    run_here: Run, function: str, model: str
) -> None:
    code, _, said = run_here(f"work:{function}", "--inputs", "calls.jsonl", "--model", model)
    assert (code, said) == (1, "producer: 3 of 3 calls failed\n")


def test_a_pool_that_breaks_is_said_to_have(here: Path) -> None:
    """More inputs than are on their way at a time: the rest can't be submitted any more."""
    lines = "".join(f"[{i}]\n" for i in range(1500))
    done = producer("run", "work:die", "--inputs", "-", input=lines)
    assert done.returncode == 1
    assert "producer: gave up: A child process terminated abruptly" in done.stderr


def test_calls_before_a_bad_line_of_a_stream_have_their_results(here: Path) -> None:
    """A stream is read as it comes: nobody can check its end."""
    done = producer("run", "work:square", "--inputs", "-", "--model", "sequential", input="[3]\nbad\n")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {"index": 0, "value": 9}
    assert "standard input, line 2: not JSON" in done.stderr


def test_calls_that_do_not_end_are_given_up_after_the_timeout(here: Path) -> None:
    done = producer(
        "run", "work:hold", "--inputs", "hold.jsonl", "--model", "thread-pool", "--timeout", "0.3"
    )
    assert done.returncode == 1
    assert "gave up: no call ended for 0.3 s; 1 of 1 calls failed" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(here: Path) -> None:
    """As in `producer run … | head -1`."""
    (here / "many.jsonl").write_text("".join(f"[{i}]\n" for i in range(10_000)))
    arguments = ("run", "work:square", "--inputs", "many.jsonl", "--model", "thread-pool")
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline()) == {"index": 0, "value": 0}
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(BOUND) == 1


# compare


def test_a_comparison_of_the_local_models_is_reported_and_saved(here: Path) -> None:
    models = "sequential,thread-pool,process-pool"
    done = producer(
        "compare", "noop", "--models", models, "--tasks", "50", "--rounds", "2", "--json", "run.json"
    )
    run = load(here / "run.json", Comparison)
    assert done.returncode == 0
    first_words = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert set(models.split(",")) <= set(first_words)
    assert sorted((leg.model, leg.round, len(leg.trace)) for leg in run.legs) == [
        (model, number, 50) for model in sorted(models.split(",")) for number in (1, 2)
    ]
    assert not run.problems


WAIT = ("compare", "sleep", "--models", "sequential,thread-pool", "--tasks", "4", "--rounds", "4", "--quick")


@pytest.fixture
def baseline(here: Path) -> Callable[..., None]:
    """Save a made-up run of `WAIT`, whose makespans are about so many seconds."""

    def made(seconds: float, file: str = "baseline.json") -> None:
        about = [seconds * factor for factor in (1.0, 1.1, 0.9, 1.0)]
        run = run_of(*rounds("sequential", about), *rounds("thread-pool", about), workload="sleep")
        calls = tuple(job("sleep", tasks=4, quick=True).labels())
        save(replace(run, calls=calls), here / file)

    return made


@pytest.mark.parametrize(("seconds", "code", "says"), [(1e-6, 1, "slower"), (1e6, 0, "faster")])
def test_a_regression_against_the_baseline_ends_with_1(
    baseline: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
    seconds: float,
    code: int,
    says: str,
) -> None:
    baseline(seconds)
    try:
        left = cli._run([*WAIT, "--baseline", "baseline.json", "--fail-if-slower", "10%"])
    except SystemExit as exit_:
        left = int(exit_.code or 0)
    out, err = capfd.readouterr()
    assert left == code
    changed = out.partition("What changed")[2]
    assert [line.split()[-1] for line in changed.splitlines() if line.startswith("  thread-pool")] == [says]
    assert ("slower than the baseline by more than 10 %: sequential, thread-pool" in err) == (code == 1)


def test_a_baseline_alone_fails_nothing_and_both_runs_are_on_the_page(
    baseline: Callable[..., None], here: Path
) -> None:
    pytest.importorskip("vl_convert")
    baseline(1.0)
    assert cli._run([*WAIT, "--baseline", "baseline.json", "--html", "report.html"]) == 0
    page = (here / "report.html").read_text("utf-8")
    assert "What changed" in page
    assert 'id="compare-2"' in page


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--fail-if-slower 10%", "--fail-if-slower needs --baseline RUN.json"),
        ("--baseline baseline.json --fail-if-slower 0.1", "'0.1' is not a percentage such as 10%"),
        ("--baseline baseline.json --fail-if-slower -1%", "'-1%' is not a percentage such as 10%"),
        ("--baseline missing.json", "cannot read the baseline missing.json: No such file"),
        ("--baseline calls.jsonl", "calls.jsonl is not a saved result"),
        ("--baseline baseline.json --tasks 5", "has other calls: it needs the same inputs, --tasks"),
        ("--baseline baseline.json --models process-pool", "none of these models: it has sequential, thread"),
        ("--baseline baseline.json --fail-if-slower 10% --rounds 1", "needs --rounds 2 or more"),
    ],
)
def test_what_cannot_be_a_baseline_is_said_before_anything_is_measured(
    baseline: Callable[..., None], refusal: Callable[..., str], arguments: str, reason: str
) -> None:
    baseline(1.0)
    assert reason in refusal(*WAIT, *arguments.split())


def test_a_baseline_of_other_work_or_of_another_experiment_is_none(
    baseline: Callable[..., None], refusal: Callable[..., str], here: Path
) -> None:
    baseline(1.0)
    assert "is of sleep, not of sum" in refusal("compare", "sum", "--quick", "--baseline", "baseline.json")
    other = json.loads((here / "baseline.json").read_text()) | {"experiment": "gil"}
    (here / "baseline.json").write_text(json.dumps(other))
    assert "is a result of gil, not of compare" in refusal(*WAIT, "--baseline", "baseline.json")


def test_two_saved_runs_are_shown_with_what_changed(
    baseline: Callable[..., None], here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    baseline(2.0)
    baseline(1.0, "now.json")
    assert cli._run(["report", "baseline.json", "now.json"]) == 0
    assert "more than noise" in capfd.readouterr().out.partition("What changed")[2]
    assert cli._run(["report", "baseline.json", "now.json", "now.json"]) == 0
    assert "What changed" not in capfd.readouterr().out


def test_two_saved_runs_make_a_page_that_says_what_changed(baseline: Callable[..., None], here: Path) -> None:
    pytest.importorskip("vl_convert")
    baseline(2.0)
    baseline(1.0, "now.json")
    assert cli._run(["report", "baseline.json", "now.json", "--html", "report.html"]) == 0
    page = (here / "report.html").read_text("utf-8")
    assert "more than noise" in page.partition("What changed")[2]


@pytest.mark.parametrize("option", ["--html", "--charts"])
def test_what_draws_charts_and_is_not_there_is_missed_before_anything_is_measured(
    option: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As on a free-threaded Python."""
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    assert cli._run([*WAIT, option, "made"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert f"{option} needs vl-convert-python, which is not installed" in err
    assert not (here / "made").exists()


def test_wrong_results_are_named_and_end_with_1(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A function that returns something else in each process."""
    arguments = ("work:pid", "--inputs", "calls.jsonl", "--rounds", "1", "--workers", "1")
    assert cli._run(["compare", *arguments, "--models", "sequential,process-pool"]) == 1
    said = capfd.readouterr().out
    assert "WRONG: process-pool: pid(1) returned " in said
    assert f"which differs from the result of sequential: {os.getpid()}" in said


def test_empty_ranges_can_be_split_and_compared(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "empty.jsonl").write_text("[0]\n")
    arguments = ("sum", "--split", "--inputs", "empty.jsonl", "--rounds", "1")
    assert cli._run(["compare", *arguments, "--models", "sequential"]) == 0


def test_no_color_leaves_no_colour_on_a_terminal(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal, other_end = pty.openpty()
    arguments = ("compare", "noop", "--models", "sequential", "--tasks", "5", "--rounds", "1")
    with subprocess.Popen(command(*arguments), stdout=other_end, stderr=subprocess.DEVNULL) as process:
        os.close(other_end)
        seen = b""
        while chunk := read(terminal):
            seen += chunk
    os.close(terminal)
    assert process.returncode == 0
    assert b"\x1b[1m" in seen  # bold, as on any terminal
    assert not re.search(rb"\x1b\[(\d+;)*[349][0-7]m", seen)


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


# Ctrl-C and SIGTERM


def stopped(here: Path, number: signal.Signals, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command until a call has begun, send the signal as a terminal does, and see it end."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with process:
        end = time.monotonic() + BOUND
        while not (here / "begun").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end, "waited for a call to begin"
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        out, err = process.communicate(timeout=BOUND)
    assert left(children) == []
    assert "Traceback" not in err
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.mark.parametrize(
    ("function", "model"),
    [
        ("hold", "sequential"),
        ("hold", "thread-pool"),
        ("hold", "process-pool"),
        ("hold_async", "event-loop"),
    ],
)
def test_ctrl_c_ends_run_and_says_how_far_it_came(here: Path, function: str, model: str) -> None:
    done = stopped(here, signal.SIGINT, "run", f"work:{function}", "--inputs", "hold.jsonl", "--model", model)
    assert done.returncode == 130
    assert "producer: interrupted after 0 of 1 calls, 0 of them failed" in done.stderr


@pytest.mark.parametrize(
    ("function", "model"),
    [
        ("hold", "sequential"),
        ("hold", "thread-pool"),
        ("hold", "process-pool"),
    ],
)
def test_ctrl_c_ends_compare_with_a_report_of_what_there_was(here: Path, function: str, model: str) -> None:
    done = stopped(
        here, signal.SIGINT, "compare", f"work:{function}", "--inputs", "hold.jsonl", "--models", model
    )
    assert done.returncode == 130
    assert "interrupted: this is what there was so far" in done.stderr
    assert f"work:{function}: 1 call, " in done.stdout


@pytest.mark.parametrize("model", ["sequential", "process-pool"])
def test_ctrl_c_ends_futures_with_what_was_seen_so_far(here: Path, model: str) -> None:
    inputs = ("--inputs", "hold.jsonl", "--model", model, "--json", "lives.json")
    done = stopped(here, signal.SIGINT, "futures", "work:hold", *inputs)
    assert done.returncode == 130
    assert "interrupted: this is what there was so far" in done.stderr
    assert load(here / "lives.json", Lives).interrupted


@pytest.mark.parametrize(
    ("function", "model"), [("hold", "sequential"), ("hold", "thread-pool"), ("hold_async", "event-loop")]
)
def test_ctrl_c_ends_blocking_with_the_beats_so_far(here: Path, function: str, model: str) -> None:
    inputs = ("--inputs", "hold.jsonl", "--models", model, "--seed", "1", "--json", "heart.json")
    done = stopped(here, signal.SIGINT, "blocking", f"work:{function}", *inputs)
    assert done.returncode == 130
    assert "interrupted: this is what there was so far" in done.stderr
    assert load(here / "heart.json", Heartbeats).interrupted


def test_blocking_tells_of_calls_that_fail(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    inputs = ["--inputs", "calls.jsonl", "--quick", "--models", "thread-pool"]
    assert cli._run(["blocking", "work:fail_if_odd", *inputs]) == 1
    assert "WRONG: thread-pool, work:fail_if_odd: " in capfd.readouterr().out


def test_sigterm_ends_compare_though_the_call_runs_in_the_main_thread(here: Path) -> None:
    """What the signal raises must not be taken for what the call raised."""
    arguments = ("compare", "work:hold", "--inputs", "hold.jsonl", "--models", "sequential")
    assert stopped(here, signal.SIGTERM, *arguments).returncode == 143


# a broker that the user named


@pytest.mark.parametrize(
    "command",
    [
        "cluster status",
        "compare noop --quick --models broker-queue",
        "run work:square --inputs calls.jsonl --model broker-queue",
    ],
)
def test_a_broker_that_is_not_there_is_told_at_once(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:secret@127.0.0.1:1/0")
    said = refusal(*command.split())
    assert "the broker redis://***@127.0.0.1:1/0 can't be used: " in said
    assert "secret" not in said
