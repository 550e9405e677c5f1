/* Closing while a callback blocks, whatever it is called for: it is told, what the callback uses lives, and closing again waits on. */
#include "client.h"

/* What a callback uses, freed by user_data_free, so that a callback that is still running then is found. */
typedef struct guest {
  struct host *host;
} guest;

/* What outlives it. */
typedef struct host {
  pthread_mutex_t gate; /* held by the test to keep callbacks running */
  atomic_int entered, left, frees;
  evs_hub *hub;
} host;

static guest *new_guest(host *of) {
  guest *made = (guest *)calloc(1, sizeof *made);
  CHECK(made != NULL);
  made->host = of;
  return made;
}

static void free_guest(void *user_data) {
  host *of = ((guest *)user_data)->host;
  free(user_data);
  atomic_fetch_add(&of->frees, 1);
}

static void block(void *user_data) {
  guest *self = (guest *)user_data;
  host *of = self->host;
  atomic_fetch_add(&of->entered, 1);
  pthread_mutex_lock(&of->gate);
  pthread_mutex_unlock(&of->gate);
  CHECK(self->host == of);
  atomic_fetch_add(&of->left, 1);
}

static void authorize(void *user_data, const evs_request *request, evs_access *access) {
  block(user_data);
  CHECK_TEXT(evs_request_method(request), "GET"); /* what it was shown is still there */
  OK(evs_access_allow, access);
}

static void respond(void *user_data, const evs_request *request, evs_response *response) {
  block(user_data);
  CHECK_TEXT(evs_request_path(request), "/page");
  OK(evs_response_set_status, response, 200);
}

static void on_message(void *user_data, const evs_message *message) {
  block(user_data);
  CHECK_TEXT(message->data, "x");
}

static void on_opened(void *user_data, const evs_stream_info *stream) {
  block(user_data);
  CHECK(stream->channels_len == 1);
}

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  block(user_data);
  CHECK(status != EVS_STATUS_OK && error != NULL && receipt->proxies == 1);
}

static void on_published_at_once(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  block(user_data);
  CHECK(status == EVS_STATUS_OK && error == NULL && receipt->proxies == 0);
}

static void on_closed(void *user_data, const evs_stream_info *stream, uint32_t reason) {
  block(user_data);
  CHECK(stream->channels_len == 1 && reason == EVS_CLOSE_REASON_CLIENT);
}

static void on_ready(void *user_data) {
  block(user_data);
}

static void on_ready_at_once(void *user_data) {
  (void)user_data;
}

/* What frees may take its time too. */
static void block_and_free(void *user_data) {
  block(user_data);
  free_guest(user_data);
}

static void *publish_and_call_back(void *host_) {
  host *self = (host *)host_;
  evs_event event = EVS_EVENT_INIT;
  OK(evs_hub_publish_async, self->hub, EVS_LITERAL("b"), &event, NULL, on_published_at_once, new_guest(self), free_guest);
  return NULL;
}

/* Each blocks another thread of evstream's, or one of ours. */
enum { AUTHORIZE, RESPOND, MESSAGE, OPENED, PUBLISHED, PUBLISHED_AT_ONCE, CLOSED, READY, READY_FREE, KINDS };

static evs_hub *hub_for(int kind) {
  if (kind != PUBLISHED) return new_hub();
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_text, config, EVS_OPTION_GRIP, EVS_LITERAL("http://127.0.0.1:1/"));
  OK(evs_config_set_integer, config, EVS_OPTION_GRIP_DEADLINE_MS, 100);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  return hub;
}

static void *close_it(void *host_) {
  evs_status status = evs_hub_close(((host *)host_)->hub, 50, NULL, NULL);
  CHECK(status == EVS_STATUS_TIMEOUT);
  return NULL;
}

static void closed_while_a_callback_blocks(void) {
  for (int kind = 0; kind < KINDS; kind++) {
    host self = {.gate = PTHREAD_MUTEX_INITIALIZER, .hub = hub_for(kind)};
    evs_server *server = NULL;
    evs_subscription *subscription = NULL;
    evs_str channel = evs_str_z("a");
    client *reader = NULL;
    evs_reply *reply = NULL;
    pthread_t publisher;
    pthread_mutex_lock(&self.gate);
    OK(evs_server_new, self.hub, &server);
    if (kind == AUTHORIZE) OK(evs_server_mount_authorize, server, EVS_LITERAL("/events/"), authorize, new_guest(&self), free_guest);
    if (kind == RESPOND) OK(evs_server_fallback, server, respond, new_guest(&self), free_guest);
    if (kind == MESSAGE) OK(evs_hub_subscribe_callback, self.hub, &channel, 1, on_message, new_guest(&self), free_guest, &subscription);
    if (kind == OPENED || kind == CLOSED) {
      evs_observer observer = EVS_OBSERVER_INIT;
      if (kind == OPENED) observer.stream_opened = on_opened;
      else observer.stream_closed = on_closed;
      OK(evs_hub_observe, self.hub, &observer, new_guest(&self), free_guest);
      OK(evs_server_mount, server, EVS_LITERAL("/events/"));
    }
    OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
    if (kind == AUTHORIZE || kind == OPENED) reader = get(evs_server_port(server), "/events/?channel=a");
    if (kind == CLOSED) {
      client *passing = get(evs_server_port(server), "/events/?channel=a");
      EXPECT(passing, "stream-open");
      hang_up(passing);
    }
    if (kind == READY || kind == READY_FREE) {
      evs_bytes chunk;
      evs_request *request = new_request("GET", "/?channel=a");
      OK(evs_hub_open, self.hub, request, everything(), &reply);
      evs_request_free(request);
      evs_reply_skip_body(reply);
      if (kind == READY) OK_GIVES(EVS_STATUS_PENDING, evs_reply_poll, reply, &chunk, on_ready, new_guest(&self), free_guest);
      else OK_GIVES(EVS_STATUS_PENDING, evs_reply_poll, reply, &chunk, on_ready_at_once, new_guest(&self), block_and_free);
      publish(self.hub, "a", "x");
    }
    if (kind == PUBLISHED_AT_ONCE) CHECK(pthread_create(&publisher, NULL, publish_and_call_back, &self) == 0);
    if (kind == RESPOND) reader = get(evs_server_port(server), "/page");
    if (kind == MESSAGE) publish(self.hub, "a", "x");
    if (kind == PUBLISHED) {
      evs_event event = EVS_EVENT_INIT;
      OK(evs_hub_publish_async, self.hub, EVS_LITERAL("a"), &event, NULL, on_published, new_guest(&self), free_guest);
    }
    AWAIT(atomic_load(&self.entered) == 1);

    /* At once from several threads, and then again. */
    pthread_t closers[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&closers[i], NULL, close_it, &self) == 0);
    for (int i = 0; i < 3; i++) pthread_join(closers[i], NULL);
    GIVES(EVS_STATUS_TIMEOUT, evs_hub_close, self.hub, 0, NULL);
    CHECK(atomic_load(&self.left) == 0 && atomic_load(&self.frees) == 0);
    pthread_mutex_unlock(&self.gate);
    OK(evs_hub_close, self.hub, PATIENCE_MS, NULL);
    CHECK(atomic_load(&self.left) == 1);
    OK(evs_hub_close, self.hub, 0, NULL);

    if (kind == PUBLISHED_AT_ONCE) pthread_join(publisher, NULL);
    if (reader != NULL) hang_up(reader);
    evs_reply_free(reply);
    evs_server_free(server);
    evs_subscription_free(subscription);
    evs_hub_free(self.hub);
    AWAIT(atomic_load(&self.frees) == 1);
  }
}

/* A proxy that takes connections and says nothing. */
static uint16_t silent_proxy(int *fd) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t address_len = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  *fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(*fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(*fd, 16) == 0);
  CHECK(getsockname(*fd, (struct sockaddr *)&address, &address_len) == 0);
  return ntohs(address.sin_port);
}

typedef struct closer {
  evs_hub *hub;
  uint64_t undelivered;
} closer;

static void *close_and_look(void *closer_) {
  closer *self = (closer *)closer_;
  OK(evs_hub_close, self->hub, PATIENCE_MS, &self->undelivered);
  return NULL;
}

/* Whoever closes at the same time, or later, waits for the same end and is told the same. */
static void all_who_close_are_told_the_same(void) {
  enum { CLOSERS = 4, EVENTS = 3 };
  int fd;
  char proxy[64];
  snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u/", silent_proxy(&fd));
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_text, config, EVS_OPTION_GRIP, proxy, EVS_ZSTR);
  OK(evs_config_set_integer, config, EVS_OPTION_GRIP_DEADLINE_MS, 1000);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  for (int i = 0; i < EVENTS; i++) publish(hub, "a", "x");
  closer closers[CLOSERS];
  pthread_t threads_[CLOSERS];
  for (int i = 0; i < CLOSERS; i++) {
    closers[i].hub = hub;
    closers[i].undelivered = 99;
    CHECK(pthread_create(&threads_[i], NULL, close_and_look, &closers[i]) == 0);
  }
  for (int i = 0; i < CLOSERS; i++) pthread_join(threads_[i], NULL);
  uint64_t undelivered = 99;
  OK(evs_hub_close, hub, 0, &undelivered);
  CHECK(undelivered == EVENTS);
  for (int i = 0; i < CLOSERS; i++) CHECK(closers[i].undelivered == EVENTS);
  evs_hub_free(hub);
  close(fd);
}

int main(void) {
  RUN(all_who_close_are_told_the_same);
  RUN(closed_while_a_callback_blocks);
  return 0;
}
