"""`producer completion`."""

from __future__ import annotations

import click


@click.command(short_help="Print the completion script of your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options, models and workloads.

    \b
    Examples:
      eval "$(producer completion bash)"          in ~/.bashrc
      eval "$(producer completion zsh)"           in ~/.zshrc
      producer completion fish > ~/.config/fish/completions/producer.fish
    """  # noqa: D301 - click wants the backspace
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows all three
    click.echo(made(ctx.find_root().command, {}, "producer", "_PRODUCER_COMPLETE").source())
