"""The project: settings, paths, and the wiring of the apps."""

__version__ = "0.1.0"
