"""The settings, as keywords."""

from __future__ import annotations

from typing import TypedDict


class Options(TypedDict, total=False):
    """The settings, the same in all languages; `None` leaves one at its default. `python -m evstream` explains them."""

    history_events: int | None
    history_age_ms: int | None
    history_bytes: int | None
    backlog_events: int | None
    channel_limit: int | None
    max_event_bytes: int | None
    keep_alive_ms: int | None
    keep_alive_comment: bool | None
    write_timeout_ms: int | None
    slow_client: str | None
    max_age_ms: int | None
    reauthorize_ms: int | None
    retry_ms: int | None
    max_streams: int | None
    max_streams_per_address: int | None
    max_streams_per_user: int | None
    user_channel: bool | None
    ticket_secret: str | None
    over_user_limit: str | None
    trusted_proxies: str | list[str] | None
    forwarded_header: str | None
    proxy_protocol: bool | None
    cors_origins: str | list[str] | None
    cors_credentials: bool | None
    cors_headers: str | list[str] | None
    grip: str | list[str] | None
    grip_verify_key: str | None
    grip_prefix: str | None
    grip_required: bool | None
    grip_sole_publisher: bool | None
    grip_trust_unverified: bool | None
    grip_link_timeout_ms: int | None
    grip_link_lifetime_ms: int | None
    grip_link_secret: str | None
    grip_queue_events: int | None
    grip_deadline_ms: int | None
    grip_env_proxy: bool | None
    grip_public_path: str | None
    journal: str | None
    journal_bytes: int | None
    journal_deadline_ms: int | None
    journal_queue_events: int | None
    journal_unfenced: bool | None
    shards: int | None
    server_threads: int | None
    hook_threads: int | None
    hook_wait_ms: int | None
    header_timeout_ms: int | None
    max_header_bytes: int | None
    max_url_bytes: int | None
    max_connections: int | None
    max_connections_per_address: int | None
    max_body_bytes: int | None
    body_timeout_ms: int | None
    max_bodies_bytes: int | None
