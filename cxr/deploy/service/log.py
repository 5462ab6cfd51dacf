"""One line of JSON a request. No name of a film, no tag, no pixel and no address of a client is ever logged."""

import json
import logging
import sys
import time


class JsonLines(logging.Formatter):
    """Time, level, message and the fields passed as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            # The type and the place only: an exception's text may hold what was in the file.
            kind, _, trace = record.exc_info
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
            entry |= {"fault": kind.__name__ if kind else "", "at": place}
        return json.dumps(entry)


def log_as_json() -> None:
    """Send all records of this process to stdout as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
