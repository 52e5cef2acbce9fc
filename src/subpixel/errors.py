"""Every error a user can meet, each with the exit code the command ends with.

    SubpixelError          1  anything unexpected
    ├── UsageError         2  the request itself makes no sense
    ├── BatchError         3  some inputs of a batch failed, the others are done
    ├── InputError         4  the input cannot be read or is not supported
    │   └── Refused        4  a contest's answer breaks a rule, which has a code
    ├── WeightsError       5  a network is missing, damaged or of another kind
    ├── MemoryLimitError   6  the work does not fit the memory it may use
    ├── DiskError          7  the output cannot be written
    ├── VerificationError  8  what was written is not what should have been
    └── Interrupted      130  stopped by the user; the same command continues

Messages are sentences: what was wrong, with which value, and what to do.
"""


class SubpixelError(Exception):
    """Base of all errors raised on purpose by this package."""

    exit_code = 1


class UsageError(SubpixelError):
    """An option or a combination of options that cannot be honoured."""

    exit_code = 2


class BatchError(SubpixelError):
    """Some inputs of a batch failed; every one of them is named in the message."""

    exit_code = 3


class InputError(SubpixelError):
    """The input is unreadable, damaged, hostile or of an unsupported kind."""

    exit_code = 4


class Refused(InputError):
    """A contest's answer, or a file in it, breaks a rule.

    code: the rule, one of `subpixel.challenge.problems.CODES`. member: the file in the archive, "" for all of it.
    """

    def __init__(self, code: str, sentence: str, member: str = "") -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.member = code, sentence, member


class WeightsError(SubpixelError):
    """A network's file or card is missing, altered or does not fit the request."""

    exit_code = 5


class MemoryLimitError(SubpixelError):
    """The work does not fit the memory allowed, even at its smallest step."""

    exit_code = 6


class DiskError(SubpixelError):
    """The output or its folder cannot be written: full, read-only, or in the way."""

    exit_code = 7


class VerificationError(SubpixelError):
    """The written file does not hold the frames, times or streams it should."""

    exit_code = 8


class Interrupted(SubpixelError):
    """Stopped by Ctrl-C (130) or SIGTERM (143) with the finished chunks kept."""

    exit_code = 130
