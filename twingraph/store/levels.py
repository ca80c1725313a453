"""Levels of log lines as numbers, so that one and all above it are one comparison."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
NAMES = {number: name for name, number in LEVELS.items()}
