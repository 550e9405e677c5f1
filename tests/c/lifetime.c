/* Freeing in any order, freeing and closing in callbacks, and what is left when all is closed: nothing. */
#include "client.h"

/* A callback and its data, whatever it is called for. */
typedef struct life {
  counter count;
  evs_hub *hub;
  evs_server *server;
  evs_reply *reply;
} life;

static void authorize(void *user_data, const evs_request *request, evs_access *access) {
  (void)request;
  OK(evs_access_allow, access);
  atomic_fetch_add(&((life *)user_data)->count.calls, 1);
}

static void on_message(void *user_data, const evs_message *message) {
  (void)message;
  atomic_fetch_add(&((life *)user_data)->count.calls, 1);
}

static void on_stream(void *user_data, const evs_stream_info *stream) {
  (void)stream;
  atomic_fetch_add(&((life *)user_data)->count.calls, 1);
}

enum { ORDERS = 24 };

/* Four objects of one hub, freed in each order, with and without closing first. */
static void freed_in_any_order(void) {
  for (int order = 0; order < 2 * ORDERS; order++) {
    life self = {.hub = NULL};
    evs_hub *hub = new_hub();
    evs_server *server = NULL;
    evs_reply *reply = NULL;
    evs_subscription *subscription = NULL;
    evs_str name = evs_str_z("a");
    evs_observer observer = EVS_OBSERVER_INIT;
    observer.stream_opened = on_stream;
    OK(evs_hub_observe, hub, &observer, &self, count_free);
    OK(evs_server_new, hub, &server);
    OK(evs_server_mount_authorize, server, EVS_LITERAL("/events/"), authorize, &self, count_free);
    OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
    client *reader = get(evs_server_port(server), "/events/?channel=a");
    EXPECT(reader, "stream-open");
    evs_request *request = new_request("GET", "/?channel=a");
    OK(evs_hub_open, hub, request, everything(), &reply);
    evs_request_free(request);
    evs_bytes chunk;
    OK(evs_reply_next, reply, 0, &chunk);
    OK(evs_hub_subscribe_callback, hub, &name, 1, on_message, &self, count_free, &subscription);
    publish(hub, "a", "1");
    if (order >= ORDERS) {
      OK(evs_hub_close, hub, PATIENCE_MS, NULL);
      CHECK(atomic_load(&self.count.frees) >= 1);
    }
    int left[4] = {0, 1, 2, 3}, rest = order % ORDERS;
    for (int n = 4; n > 0; n--) {
      int pick = rest % n;
      rest /= n;
      switch (left[pick]) {
      case 0: evs_hub_free(hub); break;
      case 1: evs_server_free(server); break;
      case 2: evs_reply_free(reply); break;
      default: evs_subscription_free(subscription); break;
      }
      left[pick] = left[n - 1];
    }
    AWAIT(atomic_load(&self.count.frees) == 3);
    read_all(reader);
    hang_up(reader);
  }
}

static void no_thread_is_left_after_closing(void) {
  int before = threads();
  for (int round = 0; round < 3; round++) {
    life self = {.hub = NULL};
    evs_config *config = NULL;
    evs_hub *hub = NULL;
    evs_server *server = NULL;
    evs_subscription *subscription = NULL;
    evs_str name = evs_str_z("a");
    OK(evs_config_new, &config);
    OK(evs_config_set_integer, config, EVS_OPTION_SHARDS, 2);
    OK(evs_config_set_text, config, EVS_OPTION_GRIP, EVS_LITERAL("http://127.0.0.1:1/"));
    OK(evs_hub_new, config, &hub);
    evs_config_free(config);
    CHECK(threads() == before); /* none before it is needed */
    OK(evs_server_new, hub, &server);
    OK(evs_server_mount_authorize, server, EVS_LITERAL("/events/"), authorize, &self, count_free);
    OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
    client *reader = get(evs_server_port(server), "/events/?channel=a");
    EXPECT(reader, "stream-open");
    OK(evs_hub_subscribe_callback, hub, &name, 1, on_message, &self, count_free, &subscription);
    publish(hub, "a", "1");
    CHECK(threads() > before);
    AWAIT(evs_hub_close(hub, 1000, NULL, NULL) == EVS_STATUS_OK); /* the proxy takes nothing, however long it gets */
    evs_hub_free(hub);
    AWAIT(threads() == before); /* the kernel takes a moment to forget a thread that was joined */
    evs_server_free(server);
    evs_subscription_free(subscription);
    CHECK(atomic_load(&self.count.frees) == 2);
    hang_up(reader);
  }
}

static void threads_end_without_closing_too(void) {
  int before = threads();
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  uint16_t port = evs_server_port(server);
  evs_hub_free(hub);
  evs_server_free(server);
  AWAIT(threads() == before);
  CHECK(dial(port) == -1);
}

/* Closes from within each kind of callback, which is refused, and frees. */
static void try_to_close(life *self) {
  GIVES(EVS_STATUS_IN_CALLBACK, evs_hub_close, self->hub, 0, NULL);
  GIVES(EVS_STATUS_IN_CALLBACK, evs_server_close, self->server, 0);
  evs_server_free(self->server);
  evs_hub_free(self->hub);
  self->server = NULL;
  self->hub = NULL;
  atomic_fetch_add(&self->count.calls, 1);
}

static void closing_authorize(void *user_data, const evs_request *request, evs_access *access) {
  (void)request;
  OK(evs_access_allow, access);
  try_to_close((life *)user_data);
}

static void closing_respond(void *user_data, const evs_request *request, evs_response *response) {
  (void)request, (void)response;
  try_to_close((life *)user_data);
}

static void closing_message(void *user_data, const evs_message *message) {
  (void)message;
  try_to_close((life *)user_data);
}

static void closing_stream(void *user_data, const evs_stream_info *stream) {
  (void)stream;
  evs_event event = EVS_EVENT_INIT;
  GIVES(EVS_STATUS_IN_CALLBACK, evs_hub_publish_wait, ((life *)user_data)->hub, EVS_LITERAL("a"), &event, 0, NULL);
  try_to_close((life *)user_data);
}

static void closing_ready(void *user_data) {
  try_to_close((life *)user_data);
}

static void freed_and_closed_by_callbacks(void) {
  for (int kind = 0; kind < 5; kind++) {
    life self = {.hub = new_hub()};
    evs_hub *own = new_hub(); /* what the callbacks do not free */
    evs_channel *channel = NULL;
    evs_subscription *subscription = NULL;
    evs_reply *reply = NULL;
    evs_event event = EVS_EVENT_INIT;
    evs_str name = evs_str_z("a");
    evs_bytes chunk;
    evs_request *request = new_request("GET", "/?channel=a");
    client *reader = NULL;
    OK(evs_hub_channel, self.hub, EVS_LITERAL("a"), &channel);
    OK(evs_server_new, self.hub, &self.server);
    if (kind == 0) OK(evs_server_mount_authorize, self.server, EVS_LITERAL("/events/"), closing_authorize, &self, count_free);
    if (kind == 1) OK(evs_server_fallback, self.server, closing_respond, &self, count_free);
    OK(evs_server_listen, self.server, EVS_LITERAL("127.0.0.1:0"));
    uint16_t port = evs_server_port(self.server);
    if (kind <= 1) reader = get(port, "/events/?channel=a");
    if (kind == 2) {
      OK(evs_hub_subscribe_callback, self.hub, &name, 1, closing_message, &self, count_free, &subscription);
      OK(evs_channel_publish, channel, &event, NULL);
    }
    if (kind == 3) {
      evs_observer observer = EVS_OBSERVER_INIT;
      observer.stream_opened = closing_stream;
      OK(evs_hub_observe, own, &observer, &self, count_free);
      OK(evs_hub_open, own, request, everything(), &reply);
    }
    if (kind == 4) {
      OK(evs_hub_open, self.hub, request, everything(), &reply);
      evs_reply_skip_body(reply);
      CHECK(evs_reply_poll(reply, &chunk, closing_ready, &self, count_free, NULL) == EVS_STATUS_PENDING);
      OK(evs_channel_publish, channel, &event, NULL);
    }
    AWAIT(atomic_load(&self.count.calls) == 1);
    evs_request_free(request);
    evs_reply_free(reply);
    evs_subscription_free(subscription);
    evs_channel_free(channel);
    evs_hub_free(own);
    AWAIT(atomic_load(&self.count.frees) == 1);
    if (reader != NULL) hang_up(reader);
  }
}

/* What frees user data may call the library, and free what is left of it. */
static void free_the_rest(void *user_data) {
  life *self = (life *)user_data;
  evs_reply_free(self->reply);
  evs_hub_free(self->hub);
  atomic_fetch_add(&self->count.frees, 1);
}

static void on_ready(void *user_data) {
  atomic_fetch_add(&((life *)user_data)->count.calls, 1);
}

static void freed_by_what_frees(void) {
  life self = {.hub = new_hub()};
  evs_request *request = new_request("GET", "/?channel=a");
  evs_reply *reply = NULL;
  evs_bytes chunk;
  OK(evs_hub_open, self.hub, request, everything(), &reply);
  OK(evs_hub_open, self.hub, request, everything(), &self.reply);
  evs_reply_skip_body(reply);
  CHECK(evs_reply_poll(reply, &chunk, on_ready, &self, free_the_rest, NULL) == EVS_STATUS_PENDING);
  evs_reply_free(reply);
  CHECK(atomic_load(&self.count.frees) == 1 && atomic_load(&self.count.calls) == 0);
  evs_request_free(request);
}

int main(void) {
  RUN(freed_in_any_order);
  RUN(no_thread_is_left_after_closing);
  RUN(threads_end_without_closing_too);
  RUN(freed_and_closed_by_callbacks);
  RUN(freed_by_what_frees);
  return 0;
}
