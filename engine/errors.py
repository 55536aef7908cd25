"""What can go wrong, said so that a person knows what to do next."""


class WeightscopeError(Exception):
    """A failure that the user can understand and act on.

    Args:
        message: what failed, on which file or tensor, what was expected and what was found.
        hint: what to do about it; empty when there is nothing to do.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self):
        return type(self), (self.message, self.hint)


class Cancelled(WeightscopeError):
    """The user asked the work to stop; nothing is half-written."""


class SourceError(WeightscopeError):
    """A checkpoint cannot be opened or read."""


class SourceNotFoundError(SourceError):
    """No checkpoint at that path or under that name."""


class UnsupportedFormatError(SourceError):
    """The file is no checkpoint format that Weightscope reads."""


class MalformedHeaderError(SourceError):
    """The header breaks its format: bad length, JSON, names, shapes or types."""


class TruncatedFileError(SourceError):
    """The file ends before the data that its header promises."""


class TensorLayoutError(SourceError):
    """Byte ranges overlap, lie outside the file, or disagree with shape and type."""


class UnsafePathError(SourceError):
    """A name in the checkpoint points outside its own folder."""


class UnsafePickleError(SourceError):
    """The file would have to run code to be opened; Weightscope never does."""


class TensorNotFoundError(SourceError):
    """The checkpoint has no tensor of that name."""


class HubError(SourceError):
    """The hub cannot be reached, refuses, or does not keep to its protocol; the same request may succeed later."""


class AccessDeniedError(HubError):
    """The model is gated or private, and no token that may read it was given."""


class ContentChangedError(HubError):
    """A file on the hub is no longer the one whose header was read."""


class DownloadError(WeightscopeError):
    """A model cannot be put into the hub cache: the disk is full, it may not be written, or bytes arrived damaged."""


class MeasureError(WeightscopeError):
    """A measure cannot be taken of this tensor."""


class StorageError(WeightscopeError):
    """The database cannot be read or written."""


class JobError(WeightscopeError):
    """A job cannot be started, found, cancelled or resumed."""


class TrainingError(WeightscopeError):
    """A model cannot be trained: too little text, impossible settings, or a loss that left the numbers."""


class CatalogueError(WeightscopeError):
    """The catalogue file breaks its schema."""


class NotAllowedError(WeightscopeError):
    """This deployment is public and does not do that."""


class RunnerError(WeightscopeError):
    """A model cannot be loaded or run: no tokenizer, unknown architecture, too little memory, refused input."""
