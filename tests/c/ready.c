/* Event loops: a queue with a descriptor, whose owner needs no lock, and callbacks of polls. */
#include "client.h"

static evs_reply *open_stream(evs_hub *hub, const char *target) {
  evs_request *request = new_request("GET", target);
  evs_reply *reply = NULL;
  OK(evs_hub_open, hub, request, everything(), &reply);
  evs_request_free(request);
  evs_reply_skip_body(reply);
  return reply;
}

static int is_readable(evs_ready_queue *queue, int timeout_ms) {
  struct pollfd wait = {.fd = evs_ready_queue_fd(queue), .events = POLLIN};
  return poll(&wait, 1, timeout_ms) == 1;
}

static void *pop(evs_ready_queue *queue) {
  void *user_data = NULL;
  do CHECK(is_readable(queue, PATIENCE_MS));
  while (!evs_ready_queue_pop(queue, &user_data)); /* what was in it may have been freed */
  return user_data;
}

static void is_empty(evs_ready_queue *queue) {
  void *user_data = queue;
  CHECK(!is_readable(queue, 0));
  CHECK(!evs_ready_queue_pop(queue, &user_data) && user_data == NULL && !evs_ready_queue_pop(queue, NULL));
}

static void a_reply_says_when_to_read_on(void) {
  evs_hub *hub = new_hub();
  evs_ready_queue *queue = NULL;
  evs_bytes chunk;
  int mine;
  OK(evs_ready_queue_new, &queue);
  evs_reply *reply = NULL;
  for (int round = 0; round < 3; round++) {
    evs_reply_free(reply);
    reply = open_stream(hub, "/?channel=a"); /* a fresh one, for which nothing can come late */
    OK(evs_reply_attach, reply, queue, &mine);
    OK_GIVES(EVS_STATUS_PENDING, evs_reply_next, reply, 0, &chunk);
    publish(hub, "a", "1");
    CHECK(pop(queue) == &mine);
    publish(hub, "a", "2");
    CHECK(!evs_ready_queue_pop(queue, NULL)); /* it is told again only when it has read all */
    is_empty(queue);
    OK(evs_reply_next, reply, 0, &chunk);
    CHECK(contains(as_text(chunk), "data: 1"));
    while (evs_reply_next(reply, 0, &chunk, NULL) == EVS_STATUS_OK) continue;
  }
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  evs_status status;
  int is_said = 0;
  while ((status = evs_reply_next(reply, 0, &chunk, NULL)) != EVS_STATUS_ENDED) {
    if (status == EVS_STATUS_PENDING) CHECK(pop(queue) == &mine);
    else is_said |= contains(as_text(chunk), "retry: ");
  }
  CHECK(is_said);
  evs_reply_free(reply);
  evs_hub_free(hub);
  evs_ready_queue_free(queue);
}

static void a_subscription_does_too(void) {
  evs_hub *hub = new_hub();
  evs_ready_queue *queue = NULL;
  evs_subscription *subscription = NULL;
  evs_message message = EVS_MESSAGE_INIT;
  evs_str channel = evs_str_z("a");
  int mine;
  OK(evs_ready_queue_new, &queue);
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  OK(evs_subscription_attach, subscription, queue, &mine);
  OK_GIVES(EVS_STATUS_PENDING, evs_subscription_next, subscription, 0, &message);
  publish(hub, "a", "1");
  CHECK(pop(queue) == &mine);
  OK(evs_subscription_next, subscription, 0, &message);
  CHECK_TEXT(message.data, "1");
  OK_GIVES(EVS_STATUS_PENDING, evs_subscription_next, subscription, 0, &message);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  CHECK(pop(queue) == &mine);
  OK_GIVES(EVS_STATUS_ENDED, evs_subscription_next, subscription, 0, &message);
  evs_subscription_free(subscription);
  evs_hub_free(hub);
  evs_ready_queue_free(queue);
}

enum { MANY = 100 };

/* What was freed does not come out, whether it waited or was in the queue already; the rest does, once. */
static void what_was_freed_never_comes_out(void) {
  evs_hub *hub = new_hub();
  evs_ready_queue *queue = NULL;
  evs_reply *replies[MANY];
  evs_bytes chunk;
  int seen[MANY] = {0};
  OK(evs_ready_queue_new, &queue);
  for (int i = 0; i < MANY; i++) {
    replies[i] = open_stream(hub, "/?channel=a");
    OK(evs_reply_attach, replies[i], queue, &seen[i]);
    OK_GIVES(EVS_STATUS_PENDING, evs_reply_next, replies[i], 0, &chunk);
  }
  for (int i = 0; i < MANY; i += 4) evs_reply_free(replies[i]);
  publish(hub, "a", "1");
  CHECK(is_readable(queue, PATIENCE_MS));
  for (int i = 1; i < MANY; i += 4) evs_reply_free(replies[i]);
  void *user_data;
  for (int count = 0; count < MANY / 2; count++) {
    while (!evs_ready_queue_pop(queue, &user_data)) CHECK(is_readable(queue, PATIENCE_MS));
    ++*(int *)user_data;
  }
  for (int i = 0; i < MANY; i++) CHECK(seen[i] == (i % 4 >= 2));
  CHECK(!evs_ready_queue_pop(queue, &user_data));
  for (int i = 2; i < MANY; i += 4) evs_reply_free(replies[i]), evs_reply_free(replies[i + 1]);
  evs_ready_queue_free(queue);
  close_hub(hub);
}

static void a_queue_may_go_first(void) {
  evs_hub *hub = new_hub();
  evs_ready_queue *first = NULL, *second = NULL;
  evs_bytes chunk;
  int mine;
  OK(evs_ready_queue_new, &first);
  OK(evs_ready_queue_new, &second);
  evs_reply *reply = open_stream(hub, "/?channel=a");
  OK(evs_reply_attach, reply, first, NULL);
  OK_GIVES(EVS_STATUS_PENDING, evs_reply_next, reply, 0, &chunk);
  evs_ready_queue_free(first);
  publish(hub, "a", "1");
  OK(evs_reply_attach, reply, second, &mine);
  while (evs_reply_next(reply, 0, &chunk, NULL) == EVS_STATUS_PENDING) CHECK(pop(second) == &mine);
  CHECK(contains(as_text(chunk), "data: 1"));
  evs_reply_free(reply);
  evs_ready_queue_free(second);
  close_hub(hub);
}

static void ready(void *user_data) {
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void on_message(void *user_data, const evs_message *message) {
  (void)user_data, (void)message;
}

static void what_is_attached_does_not_wait(void) {
  evs_hub *hub = new_hub();
  evs_ready_queue *queue = NULL;
  evs_subscription *subscription = NULL, *called = NULL;
  evs_message message = EVS_MESSAGE_INIT;
  evs_str channel = evs_str_z("a");
  evs_bytes chunk;
  counter count = {0};
  OK(evs_ready_queue_new, &queue);
  evs_reply *reply = open_stream(hub, "/?channel=a");
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  OK(evs_reply_attach, reply, queue, NULL);
  OK(evs_subscription_attach, subscription, queue, NULL);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_next, reply, 1, &chunk);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_poll, reply, &chunk, ready, &count, count_free);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_subscription_next, subscription, 1, &message);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_subscription_poll, subscription, &message, ready, &count, count_free);
  CHECK(atomic_load(&count.frees) == 4 && atomic_load(&count.calls) == 0);
  OK(evs_hub_subscribe_callback, hub, &channel, 1, on_message, NULL, NULL, &called);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_subscription_attach, called, queue, NULL);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_subscription_poll, called, &message, ready, NULL, NULL);
  evs_subscription_free(called);
  evs_subscription_free(subscription);
  evs_reply_free(reply);
  evs_ready_queue_free(queue);
  close_hub(hub);
}

static void a_subscription_calls_back(void) {
  evs_hub *hub = new_hub();
  evs_subscription *subscription = NULL;
  evs_message message = EVS_MESSAGE_INIT;
  evs_str channel = evs_str_z("a");
  counter waiting = {0}, at_once = {0}, freed = {0};
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  OK_GIVES(EVS_STATUS_PENDING, evs_subscription_poll, subscription, &message, ready, &waiting, count_free);
  CHECK(atomic_load(&waiting.frees) == 0);
  publish(hub, "a", "1");
  AWAIT(atomic_load(&waiting.frees) == 1);
  CHECK(atomic_load(&waiting.calls) == 1);
  OK(evs_subscription_poll, subscription, &message, ready, &at_once, count_free);
  CHECK_TEXT(message.data, "1");
  CHECK(atomic_load(&at_once.calls) == 0 && atomic_load(&at_once.frees) == 1);
  evs_subscription_free(subscription);
  channel = evs_str_z("quiet");
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  OK_GIVES(EVS_STATUS_PENDING, evs_subscription_poll, subscription, &message, ready, &freed, count_free);
  evs_subscription_free(subscription);
  AWAIT(atomic_load(&freed.frees) == 1); /* it may have been called at the last moment, in vain */
  close_hub(hub);
}

static void a_time_out_leaves_no_error(void) {
  evs_hub *hub = new_hub();
  evs_subscription *subscription = NULL;
  evs_message message = EVS_MESSAGE_INIT;
  evs_str channel = evs_str_z("a");
  evs_bytes chunk;
  evs_reply *reply = open_stream(hub, "/?channel=a");
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  for (uint64_t timeout_ms = 0; timeout_ms < 2; timeout_ms++) {
    OK_GIVES(EVS_STATUS_TIMEOUT, evs_reply_next, reply, timeout_ms, &chunk);
    OK_GIVES(EVS_STATUS_TIMEOUT, evs_subscription_next, subscription, timeout_ms, &message);
  }
  evs_subscription_free(subscription);
  evs_reply_free(reply);
  close_hub(hub);
}

/* One thread with a loop and connections that come and go, as many that publish, and no lock. */

typedef struct connection {
  evs_reply *reply;
  uint64_t left;
} connection;

enum { PUBLISHERS = 3, EVENTS = 400, CONNECTIONS = 20 };

static void *publish_many(void *hub) {
  for (int i = 0; i < EVENTS; i++) publish((evs_hub *)hub, "a", "x");
  return NULL;
}

static uint64_t count_data(evs_bytes chunk) {
  uint64_t count = 0;
  for (evs_str rest = as_text(chunk); rest.len >= 8; rest.ptr++, rest.len--) count += memcmp(rest.ptr, "data: x\n", 8) == 0;
  return count;
}

static void a_loop_needs_no_lock(void) {
  evs_hub *hub = new_hub();
  evs_ready_queue *queue = NULL;
  connection connections[CONNECTIONS];
  pthread_t publishers[PUBLISHERS];
  evs_bytes chunk;
  OK(evs_ready_queue_new, &queue);
  for (size_t i = 0; i < CONNECTIONS; i++) {
    connections[i].reply = open_stream(hub, "/?channel=a");
    connections[i].left = PUBLISHERS * EVENTS;
    OK(evs_reply_attach, connections[i].reply, queue, &connections[i]);
    OK_GIVES(EVS_STATUS_PENDING, evs_reply_next, connections[i].reply, 0, &chunk);
  }
  for (int i = 0; i < PUBLISHERS; i++) CHECK(pthread_create(&publishers[i], NULL, publish_many, hub) == 0);
  for (size_t open = CONNECTIONS; open > 0;) {
    CHECK(is_readable(queue, PATIENCE_MS));
    void *user_data;
    while (evs_ready_queue_pop(queue, &user_data)) {
      connection *self = (connection *)user_data;
      CHECK(self->reply != NULL);
      while (evs_reply_next(self->reply, 0, &chunk, NULL) == EVS_STATUS_OK) self->left -= count_data(chunk);
      evs_reply *other = open_stream(hub, "/?channel=a"); /* which comes and goes */
      OK(evs_reply_attach, other, queue, NULL);
      while (evs_reply_next(other, 0, &chunk, NULL) == EVS_STATUS_OK) continue;
      evs_reply_free(other);
      if (self->left > 0) continue;
      evs_reply_free(self->reply);
      self->reply = NULL;
      open--;
    }
  }
  for (int i = 0; i < PUBLISHERS; i++) pthread_join(publishers[i], NULL);
  evs_ready_queue_free(queue);
  close_hub(hub);
}

int main(void) {
  RUN(a_reply_says_when_to_read_on);
  RUN(a_subscription_does_too);
  RUN(what_was_freed_never_comes_out);
  RUN(a_queue_may_go_first);
  RUN(what_is_attached_does_not_wait);
  RUN(a_subscription_calls_back);
  RUN(a_time_out_leaves_no_error);
  RUN(a_loop_needs_no_lock);
  return 0;
}
