/* Every function that returns a status, with NULL for all that can be NULL. */
#ifndef EVERY_H
#define EVERY_H

#include "check.h"

#define EVERY_CALL(CALL) \
  CALL(evs_config_new, NULL) \
  CALL(evs_config_set_integer, NULL, NULL, 0, 0) \
  CALL(evs_config_set_integer, NULL, EVS_OPTION_SHARDS, 0) \
  CALL(evs_config_set_flag, NULL, EVS_OPTION_GRIP_REQUIRED, true) \
  CALL(evs_config_set_text, NULL, EVS_OPTION_SHARDS, EVS_LITERAL("1")) \
  CALL(evs_config_set_list, NULL, EVS_OPTION_GRIP, NULL, 0) \
  CALL(evs_config_grip_from_env, NULL) \
  CALL(evs_hub_new, NULL, NULL) \
  CALL(evs_hub_publish, NULL, NULL, 0, NULL, NULL) \
  CALL(evs_hub_publish_wait, NULL, NULL, 0, NULL, 0, NULL) \
  CALL(evs_hub_publish_async, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL) \
  CALL(evs_hub_position, NULL, NULL) \
  CALL(evs_hub_metrics, NULL, false, NULL) \
  CALL(evs_hub_health, NULL, NULL, NULL, NULL) \
  CALL(evs_hub_reopen, NULL, NULL) \
  CALL(evs_hub_disconnect, NULL, NULL, NULL, 0) \
  CALL(evs_hub_streams, NULL, NULL, NULL, NULL) \
  CALL(evs_hub_users, NULL, NULL, 0, NULL, NULL) \
  CALL(evs_hub_close, NULL, 0, NULL) \
  CALL(evs_hub_channel, NULL, NULL, 0, NULL) \
  CALL(evs_hub_user_channel, NULL, NULL, 0, NULL) \
  CALL(evs_hub_publish_to_user, NULL, NULL, 0, NULL, NULL) \
  CALL(evs_channel_publish, NULL, NULL, NULL) \
  CALL(evs_channel_publish_wait, NULL, NULL, 0, NULL) \
  CALL(evs_channel_publish_async, NULL, NULL, NULL, NULL, NULL, NULL) \
  CALL(evs_request_new, NULL, 0, NULL, 0, NULL) \
  CALL(evs_request_add_header, NULL, NULL, 0, NULL, 0) \
  CALL(evs_request_set_peer, NULL, EVS_LITERAL("192.0.2.1")) \
  CALL(evs_access_new, NULL) \
  CALL(evs_access_allow, NULL) \
  CALL(evs_access_set_channels, NULL, NULL, 0) \
  CALL(evs_access_set_user, NULL, NULL, 0) \
  CALL(evs_access_set_expiry, NULL, 1) \
  CALL(evs_access_set_since, NULL, NULL, 0) \
  CALL(evs_access_greet, NULL, NULL) \
  CALL(evs_access_forbid, NULL, NULL, 0) \
  CALL(evs_access_fail, NULL, NULL, 0) \
  CALL(evs_access_set_jwt, NULL, NULL, NULL, NULL) \
  CALL(evs_jwt_new, NULL, 0, NULL) \
  CALL(evs_jwt_add_key, NULL, NULL, 0) \
  CALL(evs_jwt_set_issuer, NULL, NULL, 0) \
  CALL(evs_jwt_add_audience, NULL, NULL, 0) \
  CALL(evs_jwt_set_cookie, NULL, NULL, 0) \
  CALL(evs_tickets_new, NULL, 0, 0, 0, NULL) \
  CALL(evs_hub_ticket, NULL, NULL, NULL, NULL) \
  CALL(evs_access_set_ticket, NULL, NULL, NULL, NULL) \
  CALL(evs_server_mount_public, NULL, NULL, 0, NULL, 0) \
  CALL(evs_server_mount_tickets, NULL, NULL, 0, NULL) \
  CALL(evs_server_mount_jwt, NULL, NULL, 0, NULL) \
  CALL(evs_hub_open, NULL, NULL, NULL, NULL) \
  CALL(evs_hub_screen, NULL, NULL, NULL) \
  CALL(evs_hub_tune_fd, NULL, 0) \
  CALL(evs_reply_head, NULL, EVS_FRAMING_CHUNKED, NULL) \
  CALL(evs_reply_adopt_fd, NULL, 0, EVS_FRAMING_CHUNKED) \
  CALL(evs_reply_next, NULL, 0, NULL) \
  CALL(evs_reply_poll, NULL, NULL, NULL, NULL, NULL) \
  CALL(evs_reply_attach, NULL, NULL, NULL) \
  CALL(evs_ready_queue_new, NULL) \
  CALL(evs_response_set_status, NULL, 200) \
  CALL(evs_response_add_header, NULL, NULL, 0, NULL, 0) \
  CALL(evs_response_set_body, NULL, NULL, 0) \
  CALL(evs_server_new, NULL, NULL) \
  CALL(evs_server_mount, NULL, NULL, 0) \
  CALL(evs_server_mount_channels, NULL, NULL, 0, NULL, 0) \
  CALL(evs_server_mount_authorize, NULL, NULL, 0, NULL, NULL, NULL) \
  CALL(evs_server_mount_metrics, NULL, NULL, 0, NULL, NULL, NULL) \
  CALL(evs_server_mount_health, NULL, NULL, 0, NULL, NULL, NULL) \
  CALL(evs_server_fallback, NULL, NULL, NULL, NULL) \
  CALL(evs_server_accept_publish, NULL) \
  CALL(evs_server_accept_publish_basic, NULL, NULL, 0, NULL, 0) \
  CALL(evs_server_accept_publish_bearer, NULL, EVS_LITERAL("token")) \
  CALL(evs_server_accept_publish_jwt, NULL, NULL, 0, EVS_LITERAL("a-secret")) \
  CALL(evs_server_listen, NULL, NULL, 0) \
  CALL(evs_server_close, NULL, 0) \
  CALL(evs_hub_subscribe, NULL, NULL, 0, NULL) \
  CALL(evs_hub_subscribe_callback, NULL, NULL, 0, NULL, NULL, NULL, NULL) \
  CALL(evs_subscription_next, NULL, 0, NULL) \
  CALL(evs_subscription_poll, NULL, NULL, NULL, NULL, NULL) \
  CALL(evs_subscription_attach, NULL, NULL, NULL) \
  CALL(evs_hub_observe, NULL, NULL, NULL, NULL) \
  CALL(evs_hub_stats, NULL, NULL)

#endif
