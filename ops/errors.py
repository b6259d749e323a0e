"""The one error that is the user's to mend."""


class InputError(Exception):
    """Something the user gave (a file, line, flag or value) cannot be used; the message names it and the remedy."""
