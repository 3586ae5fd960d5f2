"""Sources: files of the user, found, recognised and handed to the engine as text, value by value."""

from helpers.sources.init import init_params
from helpers.sources.read import SourceFile, damaged, read_source

__all__ = ["SourceFile", "damaged", "init_params", "read_source"]
