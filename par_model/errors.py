"""Errors of this package that a user can mend: one line that names the thing and the remedy."""


class SchemaError(ValueError):
    """An attribute schema that cannot be read or does not fit."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, is damaged, or belongs to something else."""


class ParityError(ValueError):
    """An exported graph that has not been shown to give the numbers of the model it was made from."""
