"""Streams in servers and frameworks. Each framework is imported by its own module here, and by nobody else."""
