/* What is empty: a text or bytes that begin at a NUL, an array that is NULL, wherever evstream gives one. */
#include "client.h"

#define CHECK_EMPTY(view) \
  CHECK((view).len == 0 && (uintptr_t)(view).ptr > 4096 && (view).ptr[0] == '\0')

static void of_nothing(void) {
  evs_str name = {NULL, 1}, value = name;
  CHECK_EMPTY(evs_channel_name(NULL));
  CHECK_EMPTY(evs_request_method(NULL));
  CHECK_EMPTY(evs_request_path(NULL));
  CHECK_EMPTY(evs_request_query(NULL));
  CHECK_EMPTY(evs_request_peer(NULL));
  CHECK_EMPTY(evs_request_body(NULL));
  CHECK(!evs_request_header(NULL, EVS_LITERAL("a"), &value));
  CHECK_EMPTY(value);
  CHECK(!evs_request_header_at(NULL, 0, &name, &value));
  CHECK_EMPTY(name);
  CHECK_EMPTY(value);
  CHECK_EMPTY(evs_reply_body(NULL));
  CHECK(!evs_reply_header_at(NULL, 0, &name, &value));
  CHECK_EMPTY(name);
  CHECK_EMPTY(value);
  CHECK_EMPTY(evs_server_address(NULL));
}

static void of_a_request(void) {
  evs_request *request = new_request("", "");
  evs_str name, value;
  CHECK_EMPTY(evs_request_method(request));
  CHECK_EMPTY(evs_request_path(request));
  CHECK_EMPTY(evs_request_query(request));
  CHECK_EMPTY(evs_request_peer(request));
  CHECK_EMPTY(evs_request_body(request));
  OK(evs_request_add_header, request, EVS_LITERAL(""), EVS_LITERAL(""));
  CHECK(evs_request_header(request, EVS_LITERAL(""), &value));
  CHECK_EMPTY(value);
  CHECK(evs_request_header_at(request, 0, &name, &value));
  CHECK_EMPTY(name);
  CHECK_EMPTY(value);
  CHECK(!evs_request_header(request, EVS_LITERAL("x"), &value));
  CHECK_EMPTY(value);
  CHECK(!evs_request_header_at(request, 1, &name, &value));
  CHECK_EMPTY(name);
  CHECK_EMPTY(value);
  evs_request_free(request);
}

static void ready(void *user_data) {
  (void)user_data;
}

static void of_a_reply(void) {
  evs_hub *hub = new_hub();
  evs_request *request = new_request("OPTIONS", "/");
  evs_reply *reply = NULL;
  evs_str name, value;
  evs_bytes chunk;
  OK(evs_hub_open, hub, request, everything(), &reply);
  CHECK_EMPTY(evs_reply_body(reply));
  CHECK(!evs_reply_header_at(reply, 1000, &name, &value));
  CHECK_EMPTY(name);
  CHECK_EMPTY(value);
  CHECK(evs_reply_next(reply, 0, &chunk, NULL) == EVS_STATUS_ENDED);
  CHECK_EMPTY(chunk);
  evs_reply_free(reply);
  evs_request_free(request);
  request = new_request("GET", "/?channel=a");
  OK(evs_hub_open, hub, request, everything(), &reply);
  evs_reply_skip_body(reply);
  chunk.ptr = NULL;
  OK_GIVES(EVS_STATUS_TIMEOUT, evs_reply_next, reply, 0, &chunk);
  CHECK_EMPTY(chunk);
  chunk.ptr = NULL;
  CHECK(evs_reply_poll(reply, &chunk, ready, NULL, NULL, NULL) == EVS_STATUS_PENDING);
  CHECK_EMPTY(chunk);
  evs_reply_free(reply);
  evs_request_free(request);
  close_hub(hub);
}

static void of_a_server(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  CHECK_EMPTY(evs_server_address(server));
  evs_server_free(server);
  close_hub(hub);
}

static void of_a_message(void) {
  evs_hub *hub = hub_with("backlog_events", 1);
  evs_subscription *subscription = NULL;
  evs_str channel = evs_str_z("a");
  evs_event event = EVS_EVENT_INIT;
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  OK(evs_hub_publish, hub, channel.ptr, channel.len, &event, NULL);
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK_EMPTY(message.data);
  CHECK(message.name.ptr == NULL && message.name.len == 0); /* there is none */
  CHECK(message.channels == NULL && message.channels_len == 0);
  evs_subscription_free(subscription);
  close_hub(hub);
}

static void of_a_reset(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  evs_subscription *subscription = NULL;
  evs_str channel = evs_str_z("a");
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_config_new, &config);
  OK(evs_config_set_integer, config, EVS_OPTION_BACKLOG_EVENTS, 1);
  OK(evs_config_set_integer, config, EVS_OPTION_HISTORY_EVENTS, 1);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  for (int i = 0; i < 3; i++) publish(hub, "a", "x");
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK(message.kind == EVS_MESSAGE_KIND_RESET && message.channels_len == 1);
  CHECK_EMPTY(message.channel);
  CHECK_EMPTY(message.data);
  evs_subscription_free(subscription);
  close_hub(hub);
}

static void look_at_stream(void *user_data, const evs_stream_info *stream) {
  CHECK_EMPTY(stream->user);
  CHECK_EMPTY(stream->peer);
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void look_at_request(void *user_data, const evs_request *request, evs_response *response) {
  (void)response;
  CHECK_EMPTY(evs_request_query(request));
  CHECK_EMPTY(evs_request_body(request));
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void of_what_callbacks_are_shown(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  evs_reply *reply = NULL;
  evs_observer observer = EVS_OBSERVER_INIT;
  counter streams = {0}, requests = {0};
  observer.stream_opened = look_at_stream;
  OK(evs_hub_observe, hub, &observer, &streams, NULL);
  evs_request *request = new_request("GET", "/?channel=a");
  OK(evs_hub_open, hub, request, everything(), &reply);
  CHECK(atomic_load(&streams.calls) == 1);
  OK(evs_server_new, hub, &server);
  OK(evs_server_fallback, server, look_at_request, &requests, NULL);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  client *reader = get(evs_server_port(server), "/page");
  EXPECT(reader, "404");
  CHECK(atomic_load(&requests.calls) == 1);
  hang_up(reader);
  evs_reply_free(reply);
  evs_request_free(request);
  evs_server_free(server);
  close_hub(hub);
}

int main(void) {
  RUN(of_nothing);
  RUN(of_a_request);
  RUN(of_a_reply);
  RUN(of_a_server);
  RUN(of_a_message);
  RUN(of_a_reset);
  RUN(of_what_callbacks_are_shown);
  return 0;
}
