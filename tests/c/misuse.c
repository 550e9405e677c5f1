/* Every function with NULL for everything, and with arguments that are not what they should be. */
#include "every.h"

#define REFUSES(function, ...) GIVES(EVS_STATUS_INVALID_ARGUMENT, function, __VA_ARGS__)

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  (void)user_data, (void)status, (void)receipt, (void)error;
  fail(__FILE__, __LINE__, "it was called");
}

static void on_message(void *user_data, const evs_message *message) {
  (void)user_data, (void)message;
  fail(__FILE__, __LINE__, "it was called");
}

static void on_ready(void *user_data) {
  (void)user_data;
  fail(__FILE__, __LINE__, "it was called");
}

static void authorize(void *user_data, const evs_request *request, evs_access *access) {
  (void)user_data, (void)request, (void)access;
  fail(__FILE__, __LINE__, "it was called");
}

static void respond(void *user_data, const evs_request *request, evs_response *response) {
  (void)user_data, (void)request, (void)response;
  fail(__FILE__, __LINE__, "it was called");
}

#define REFUSES_THIS(...) REFUSES(__VA_ARGS__);

static void null_is_refused(void) {
  EVERY_CALL(REFUSES_THIS)
  OK(evs_log_set, EVS_LOG_LEVEL_OFF, NULL, NULL, NULL); /* logs nothing */
}

static void null_has_nothing(void) {
  evs_str text;
  CHECK(evs_error_status(NULL) == EVS_STATUS_INVALID_ARGUMENT && evs_error_message(NULL)[0] == '\0');
  CHECK(evs_channel_name(NULL).len == 0 && evs_channel_streams(NULL) == 0);
  CHECK(evs_request_method(NULL).len == 0 && evs_request_path(NULL).len == 0 && evs_request_query(NULL).len == 0);
  CHECK(evs_request_peer(NULL).len == 0 && evs_request_header_count(NULL) == 0 && evs_request_body(NULL).len == 0);
  size_t len = 1;
  CHECK(evs_request_channels(NULL, &len) == NULL && len == 0 && evs_request_channels(NULL, NULL) == NULL && !evs_request_is_held(NULL));
  CHECK(!evs_request_header(NULL, NULL, 0, NULL) && !evs_request_header(NULL, EVS_LITERAL("a"), &text) && text.len == 0);
  CHECK(!evs_request_header_at(NULL, 0, NULL, NULL) && !evs_request_header_at(NULL, 0, &text, &text) && text.len == 0);
  CHECK(evs_reply_status(NULL) == 0 && evs_reply_header_count(NULL) == 0 && evs_reply_body(NULL).len == 0);
  CHECK(!evs_reply_header_at(NULL, 0, NULL, NULL) && !evs_reply_header_at(NULL, 0, &text, &text) && text.len == 0);
  CHECK(!evs_reply_has_stream(NULL));
  CHECK(evs_server_address(NULL).len == 0 && evs_server_port(NULL) == 0);
  CHECK(evs_ready_queue_fd(NULL) == -1 && !evs_ready_queue_pop(NULL, NULL));
  CHECK(evs_text_str(NULL).ptr == NULL);
  evs_reply_skip_body(NULL);
  evs_error_free(NULL);
  evs_config_free(NULL);
  evs_hub_free(NULL);
  evs_channel_free(NULL);
  evs_request_free(NULL);
  evs_access_free(NULL);
  evs_jwt_free(NULL);
  evs_tickets_free(NULL);
  evs_reply_free(NULL);
  evs_server_free(NULL);
  evs_subscription_free(NULL);
  evs_ready_queue_free(NULL);
  evs_text_free(NULL);
}

/* One argument after the other is missing where the rest is right. */
static void each_argument_is_needed(void) {
  evs_hub *hub = new_hub();
  evs_channel *channel = NULL;
  evs_server *server = NULL;
  evs_reply *reply = NULL;
  evs_request *request = new_request("GET", "/?channel=a");
  evs_subscription *subscription = NULL;
  evs_event event = EVS_EVENT_INIT;
  evs_str name = evs_str_z("a");
  evs_bytes chunk;
  OK(evs_hub_channel, hub, name.ptr, name.len, &channel);
  OK(evs_server_new, hub, &server);
  OK(evs_hub_open, hub, request, everything(), &reply);
  OK(evs_hub_subscribe, hub, &name, 1, &subscription);

  REFUSES(evs_hub_publish, hub, EVS_LITERAL("a"), NULL, NULL);
  REFUSES(evs_hub_publish, hub, NULL, 1, &event, NULL);
  REFUSES(evs_channel_publish, channel, NULL, NULL);
  REFUSES(evs_hub_channel, hub, EVS_LITERAL("a"), NULL);
  REFUSES(evs_hub_open, hub, request, everything(), NULL);
  evs_reply *no_reply = reply;
  REFUSES(evs_hub_open, hub, NULL, everything(), &no_reply);
  CHECK(no_reply == NULL);
  no_reply = reply;
  REFUSES(evs_hub_open, hub, request, NULL, &no_reply); /* who forgets to decide opens nothing */
  CHECK(no_reply == NULL);
  REFUSES(evs_reply_head, reply, EVS_FRAMING_CHUNKED, NULL);
  REFUSES(evs_reply_next, reply, 0, NULL);
  REFUSES(evs_subscription_next, subscription, 0, NULL);
  REFUSES(evs_hub_stats, hub, NULL);
  REFUSES(evs_hub_metrics, hub, false, NULL);
  REFUSES(evs_hub_subscribe, hub, &name, 1, NULL);
  evs_subscription *no_subscription = subscription;
  REFUSES(evs_hub_subscribe, hub, NULL, 1, &no_subscription);
  CHECK(no_subscription == NULL);
  counter freed = {0};
  REFUSES(evs_hub_publish_async, hub, EVS_LITERAL("a"), &event, NULL, NULL, &freed, count_free);
  REFUSES(evs_hub_publish_async, hub, EVS_LITERAL("a"), NULL, NULL, on_published, &freed, count_free);
  REFUSES(evs_channel_publish_async, channel, NULL, NULL, on_published, &freed, count_free);
  REFUSES(evs_hub_subscribe_callback, hub, &name, 1, NULL, &freed, count_free, &no_subscription);
  REFUSES(evs_hub_subscribe_callback, hub, &name, 1, on_message, &freed, count_free, NULL);
  REFUSES(evs_reply_poll, reply, &chunk, NULL, &freed, count_free);
  REFUSES(evs_reply_poll, reply, NULL, on_ready, &freed, count_free);
  evs_message message = EVS_MESSAGE_INIT;
  REFUSES(evs_subscription_poll, subscription, &message, NULL, &freed, count_free);
  REFUSES(evs_subscription_poll, subscription, NULL, on_ready, &freed, count_free);
  REFUSES(evs_reply_attach, reply, NULL, NULL);
  REFUSES(evs_subscription_attach, subscription, NULL, NULL);
  REFUSES(evs_hub_position, hub, NULL);
  REFUSES(evs_server_mount_authorize, server, EVS_LITERAL("/"), NULL, &freed, count_free);
  REFUSES(evs_server_mount_authorize, server, NULL, 1, authorize, &freed, count_free);
  REFUSES(evs_server_fallback, server, NULL, &freed, count_free);
  REFUSES(evs_server_fallback, NULL, respond, &freed, count_free);
  REFUSES(evs_hub_observe, hub, NULL, &freed, count_free);
  CHECK(atomic_load(&freed.frees) == 28 && atomic_load(&freed.calls) == 0); /* each of 14 was called twice */

  evs_subscription_free(subscription);
  evs_reply_free(reply);
  evs_request_free(request);
  evs_server_free(server);
  evs_channel_free(channel);
  close_hub(hub);
}

static void texts_are_checked(void) {
  evs_hub *hub = new_hub();
  evs_config *config = NULL;
  evs_access *access = NULL;
  evs_request *request = NULL;
  evs_event event = EVS_EVENT_INIT;
  OK(evs_config_new, &config);
  OK(evs_access_new, &access);
  const struct {
    const char *text;
    size_t len;
  } bad[] = {/* not UTF-8, and then no text at all */
             {"\xff", 1}, {"\xC3", 1}, {"\xED\xA0\x80", 3}, {NULL, 1}, {NULL, EVS_ZSTR}, {"x", SIZE_MAX - 1}, {"x", SIZE_MAX / 2 + 1}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *text = bad[i].text;
    size_t len = bad[i].len;
    evs_str view = {text, len};
    REFUSES(evs_config_set_integer, config, text, len, 1);
    REFUSES(evs_config_set_text, config, EVS_OPTION_GRIP, text, len);
    REFUSES(evs_config_set_list, config, EVS_OPTION_GRIP, &view, 1);
    REFUSES(evs_access_set_user, access, text, len);
    REFUSES(evs_access_forbid, access, text, len);
    REFUSES(evs_request_new, text, len, EVS_LITERAL("/"), &request);
    REFUSES(evs_request_new, EVS_LITERAL("GET"), text, len, &request);
    evs_status channel = i < 3 ? EVS_STATUS_INVALID_CHANNEL : EVS_STATUS_INVALID_ARGUMENT;
    evs_status field = i < 3 ? EVS_STATUS_INVALID_EVENT : EVS_STATUS_INVALID_ARGUMENT;
    GIVES(channel, evs_access_set_channels, access, &view, 1);
    GIVES(channel, evs_hub_publish, hub, text, len, &event, NULL);
    evs_subscription *subscription = NULL;
    GIVES(channel, evs_hub_subscribe, hub, &view, 1, &subscription);
    evs_event broken = EVS_EVENT_INIT;
    broken.data = view;
    GIVES(field, evs_hub_publish, hub, EVS_LITERAL("a"), &broken, NULL);
    broken.data.len = 0;
    broken.name = view;
    GIVES(field, evs_hub_publish, hub, EVS_LITERAL("a"), &broken, NULL);
    broken.name.len = 0;
    broken.comment = view;
    GIVES(field, evs_hub_publish, hub, EVS_LITERAL("a"), &broken, NULL);
  }
  evs_str some = {"x", 1};
  REFUSES(evs_config_set_list, config, EVS_OPTION_GRIP, &some, SIZE_MAX);
  REFUSES(evs_config_set_list, config, EVS_OPTION_GRIP, &some, SIZE_MAX / 16);
  evs_access_free(access);
  evs_config_free(config);
  close_hub(hub);
}

static void structures_are_checked(void) {
  evs_hub *hub = new_hub();
  const size_t bad[] = {0, 1, 8, sizeof(evs_event) + 4, 1 << 20, SIZE_MAX};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    evs_event event = EVS_EVENT_INIT, good = EVS_EVENT_INIT;
    evs_receipt receipt = EVS_RECEIPT_INIT;
    evs_message message = EVS_MESSAGE_INIT;
    evs_stats stats = EVS_STATS_INIT;
    evs_observer observer = EVS_OBSERVER_INIT;
    event.struct_size = receipt.struct_size = message.struct_size = stats.struct_size = observer.struct_size = bad[i];
    REFUSES(evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
    REFUSES(evs_hub_publish, hub, EVS_LITERAL("a"), &good, &receipt);
    REFUSES(evs_hub_publish_wait, hub, EVS_LITERAL("a"), &good, 0, &receipt);
    REFUSES(evs_hub_publish_async, hub, EVS_LITERAL("a"), &good, &receipt, on_published, NULL, NULL);
    REFUSES(evs_subscription_next, NULL, 0, &message);
    REFUSES(evs_hub_stats, hub, &stats);
    REFUSES(evs_hub_observe, hub, &observer, NULL, NULL);
  }
  evs_stats stats = EVS_STATS_INIT;
  OK(evs_hub_stats, hub, &stats);
  CHECK(stats.published == 0); /* nothing was published by what was refused */

  /* A program that was compiled for a later version. */
  struct {
    evs_event event;
    uint64_t later;
  } newer = {EVS_EVENT_INIT, 0};
  newer.event.struct_size = sizeof newer;
  OK(evs_hub_publish, hub, EVS_LITERAL("a"), &newer.event, NULL);
  newer.later = 1;
  REFUSES(evs_hub_publish, hub, EVS_LITERAL("a"), &newer.event, NULL);
  close_hub(hub);
}

int main(void) {
  RUN(null_is_refused);
  RUN(null_has_nothing);
  RUN(each_argument_is_needed);
  RUN(texts_are_checked);
  RUN(structures_are_checked);
  return 0;
}
