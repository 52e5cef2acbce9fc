"""The command `subpixel`: its parts, and what becomes of errors."""

import os
import sys

import typer

from subpixel.cli import (
    burst,
    challenge,
    clips,
    deblur,
    degrade,
    doctor,
    info,
    lucky,
    operations,
    pairs,
    pixelshift,
    register,
    score,
    site,
    train,
    upscale,
)
from subpixel.errors import SubpixelError

EXIT_CODES = (
    "Exit codes: 0 done, 1 unexpected error, 2 the request makes no sense, 3 some inputs of a batch failed, "
    "4 the input cannot be read, 5 a network is missing or damaged, 6 not enough memory, 7 the output cannot be "
    "written, 8 the output failed its verification, 130 stopped by Ctrl-C, 143 by SIGTERM (the same command continues)."
)

app = typer.Typer(
    name="subpixel",
    help="Restore compressed, low-resolution video.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # loading Rich for the help would double the time it takes
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from subpixel import __version__

        typer.echo(f"subpixel {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Restore compressed, low-resolution video."""


for command in (
    upscale.upscale,
    upscale.estimate,
    score.score,
    score.compare,
    degrade.degrade,
    train.train,
    train.export,
    burst.burst,
    pixelshift.pixelshift,
    deblur.deblur,
    register.register,
    pairs.pairs,
    info.probe,
    info.models,
    lucky.lucky,
    doctor.doctor,
):
    app.command()(command)
challenge.challenge.command()(site.serve)
challenge.challenge.command()(site.worker)
challenge.challenge.command()(site.chores)
challenge.challenge.command(context_settings=site.PASS_ON)(site.manage)
for operation in (
    operations.publish,
    operations.backup,
    operations.restore,
    operations.export,
    operations.check,
    operations.erase,
):
    challenge.challenge.command()(operation)
challenge.challenge.command("import")(operations.import_)
app.add_typer(clips.clips, name="clips")
app.add_typer(challenge.challenge, name="challenge")


_DATABASE = "See that it runs and DATABASE_URL is right, and `subpixel challenge manage migrate` its tables."


def main() -> None:
    """Run the command and end the process with the exit code of what happened."""
    try:
        app()
    except SubpixelError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("Stopped.", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may complain while the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _fail("Not enough memory; allow fewer bytes with --memory, or choose a smaller --scale.", 6)
    except Exception as error:
        if os.environ.get("SUBPIXEL_TRACEBACK"):
            raise
        if type(error).__module__ == "django.db.utils":  # which is not imported for the sake of its name
            said = str(error).partition("\n")[0].rstrip(". ")
            _fail(f"The site's database does not do what it should: {said}. {_DATABASE}", 1)
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        _fail(f"Unexpected {what}. Report it with the output of `subpixel doctor`; SUBPIXEL_TRACEBACK=1 shows more.", 1)


def _fail(sentence: str, code: int) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(code)
