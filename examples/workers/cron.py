"""One message, for a line of a crontab: `python cron.py TEXT`. Silent when all is well: cron mails what it prints."""

import os
import sys

from evstream import Events, EvstreamError

with Events() as events:
    try:
        receipt = events.publish("messages", {"text": sys.argv[1], "pid": os.getpid()}, event="message")
        receipt.wait()
    except EvstreamError as error:
        sys.exit(f"not published: {error}")
    if receipt.local_only:
        sys.exit("EVSTREAM_JOURNAL is not set: nobody would hear of it")
