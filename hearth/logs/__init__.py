"""Function logs: segment files of JSON lines, written in batches by the workers, read by the gateway."""

from hearth.logs.reader import LogEvent, LogGroup, LogReader, LogStream
from hearth.logs.writer import GroupKey, LogWriter

__all__ = ["GroupKey", "LogEvent", "LogGroup", "LogReader", "LogStream", "LogWriter"]
