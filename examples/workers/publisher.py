"""A job that tells of its progress, serves nobody, and ends: `python publisher.py [STEPS]`.

A task of Celery publishes in the same way, with one `Events()` in its module, of which each forked worker has its own.
"""

import os
import sys

from evstream import Events


def main(steps: int) -> None:
    events = Events()
    for step in range(1, steps + 1):
        text = f"step {step} of {steps} is done"
        receipt = events.publish("messages", {"text": text, "pid": os.getpid()}, event="message")
        if receipt.local_only:
            sys.exit("EVSTREAM_JOURNAL is not set: nobody would hear of it")
    # Publishing does not wait, so that the job does not; this does.
    if lost := events.close().undelivered:
        sys.exit(f"{lost} messages have not come to the journal")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
