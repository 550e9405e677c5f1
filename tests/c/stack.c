/* Callbacks have the stacks that C programs are used to. */
#include "client.h"

enum { DEEP_BYTES = 5 * 1024 * 1024 };

static void go_deep(void *user_data) {
  volatile char deep[DEEP_BYTES];
  for (size_t i = 0; i < sizeof deep; i += 1024) deep[i] = (char)i;
  CHECK(deep[1024] == 0);
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void authorize(void *user_data, const evs_request *request, evs_access *access) {
  (void)request;
  go_deep(user_data);
  OK(evs_access_allow, access);
}

static void respond(void *user_data, const evs_request *request, evs_response *response) {
  (void)request, (void)response;
  go_deep(user_data);
}

static void on_stream(void *user_data, const evs_stream_info *stream) {
  (void)stream;
  go_deep(user_data);
}

static void on_closed(void *user_data, const evs_stream_info *stream, uint32_t reason) {
  (void)reason;
  on_stream(user_data, stream);
}

static void on_message(void *user_data, const evs_message *message) {
  (void)message;
  go_deep(user_data);
}

static void callbacks_may_go_deep(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  evs_subscription *subscription = NULL;
  evs_reply *reply = NULL;
  evs_str channel = evs_str_z("a");
  evs_bytes chunk;
  counter streams = {0}, requests = {0}, messages = {0}, ready = {0};
  evs_observer observer = EVS_OBSERVER_INIT;
  observer.stream_opened = on_stream;
  observer.stream_closed = on_closed;
  OK(evs_hub_observe, hub, &observer, &streams, NULL);
  OK(evs_hub_subscribe_callback, hub, &channel, 1, on_message, &messages, NULL, &subscription);
  OK(evs_server_new, hub, &server);
  OK(evs_server_mount_authorize, server, EVS_LITERAL("/events/"), authorize, &requests, NULL);
  OK(evs_server_fallback, server, respond, &requests, NULL);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  client *reader = get(evs_server_port(server), "/events/?channel=a"), *page = get(evs_server_port(server), "/");
  EXPECT(reader, "stream-open");
  EXPECT(page, "404");
  hang_up(reader); /* which a shard notices */
  hang_up(page);
  evs_request *request = new_request("GET", "/?channel=a");
  OK(evs_hub_open, hub, request, everything(), &reply);
  evs_request_free(request);
  evs_reply_skip_body(reply);
  OK_GIVES(EVS_STATUS_PENDING, evs_reply_poll, reply, &chunk, go_deep, &ready, NULL);
  publish(hub, "a", "1");
  AWAIT(atomic_load(&requests.calls) == 2 && atomic_load(&messages.calls) == 1);
  AWAIT(atomic_load(&streams.calls) == 3 && atomic_load(&ready.calls) == 1);
  evs_reply_free(reply);
  evs_subscription_free(subscription);
  evs_server_free(server);
  close_hub(hub);
}

int main(void) {
  RUN(callbacks_may_go_deep);
  return 0;
}
