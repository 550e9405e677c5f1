"""What the documentation of `prometheus_client` asks of gunicorn."""

from prometheus_client import multiprocess


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
