/* Publishing: to channels of this process and to proxies; and reading in the process. */
#include "client.h"

/* A GRIP proxy of a kind: answers every request in the same way. */
typedef struct proxy {
  int fd;
  char url[64];
  const char *answer;
  pthread_t thread;
  atomic_int requests;
} proxy;

static int is_whole(const client *peer) {
  const char *end = strstr(peer->text, "\r\n\r\n"), *length = strstr(peer->text, "content-length: ");
  if (end == NULL || length == NULL) return 0;
  return peer->len >= (size_t)(end - peer->text) + 4 + (size_t)atol(length + strlen("content-length: "));
}

static void *run_proxy(void *argument) {
  proxy *self = (proxy *)argument;
  for (;;) {
    int fd = accept(self->fd, NULL, NULL);
    if (fd < 0) return NULL;
    client *peer = client_on(fd);
    while (!is_whole(peer) && read_more(peer)) {
    }
    if (is_whole(peer)) {
      atomic_fetch_add(&self->requests, 1);
      if (self->answer == NULL) {
        read_all(peer); /* says nothing until the other side gives up */
      } else {
        send_all(fd, self->answer, strlen(self->answer));
      }
    }
    hang_up(peer);
  }
}

static proxy *start_proxy(const char *answer) {
  proxy *self = (proxy *)calloc(1, sizeof *self);
  CHECK(self != NULL);
  self->answer = answer;
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof address;
  self->fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(self->fd, (struct sockaddr *)&address, len) == 0 && listen(self->fd, 16) == 0);
  CHECK(getsockname(self->fd, (struct sockaddr *)&address, &len) == 0);
  snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", ntohs(address.sin_port));
  CHECK(pthread_create(&self->thread, NULL, run_proxy, self) == 0);
  return self;
}

static void stop_proxy(proxy *self) {
  shutdown(self->fd, SHUT_RDWR);
  pthread_join(self->thread, NULL);
  close(self->fd);
  free(self);
}

static evs_hub *hub_behind(proxy *const *proxies, size_t len, uint64_t deadline_ms) {
  evs_str urls[4];
  for (size_t i = 0; i < len; i++) urls[i] = evs_str_z(proxies[i]->url);
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_list, config, EVS_OPTION_GRIP, urls, len);
  OK(evs_config_set_integer, config, EVS_OPTION_GRIP_DEADLINE_MS, deadline_ms);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  return hub;
}

#define ANSWER(status) "HTTP/1.1 " status "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nHi"

static void receipts_tell_the_place_and_the_readers(void) {
  evs_hub *hub = new_hub();
  evs_event event = EVS_EVENT_INIT;
  event.name = evs_str_z("time");
  event.data = evs_str_z("12:00");
  evs_receipt first = EVS_RECEIPT_INIT, second = EVS_RECEIPT_INIT;
  OK(evs_hub_publish, hub, EVS_LITERAL("clock"), &event, &first);
  evs_str channel = evs_str_z("clock");
  evs_subscription *subscription = NULL;
  OK(evs_hub_subscribe, hub, &channel, 1, &subscription);
  OK(evs_hub_publish, hub, EVS_LITERAL("clock"), &event, &second);
  CHECK(strlen(first.position) == 21 && strcmp(first.position, second.position) < 0);
  CHECK(first.streams == 0 && second.streams == 1 && second.proxies == 0 && second.struct_size == sizeof second);
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_subscription_next, subscription, 0, &message);
  CHECK(message.kind == EVS_MESSAGE_KIND_EVENT && strcmp(message.position, second.position) == 0);
  CHECK_TEXT(message.channel, "clock");
  CHECK_TEXT(message.name, "time");
  CHECK_TEXT(message.data, "12:00");
  OK_GIVES(EVS_STATUS_TIMEOUT, evs_subscription_next, subscription, 0, &message);
  evs_subscription_free(subscription);
  close_hub(hub);
}

static void events_are_checked(void) {
  evs_hub *hub = hub_with("max_event_bytes", 10);
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("12345678901");
  GIVES(EVS_STATUS_TOO_LARGE, evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
  event.data = evs_str_z("x");
  event.name = evs_str_z("a\nb");
  GIVES(EVS_STATUS_INVALID_EVENT, evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
  event.name = evs_str_z("stream-mine");
  GIVES(EVS_STATUS_INVALID_EVENT, evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
  event.name.len = 0;
  GIVES(EVS_STATUS_INVALID_CHANNEL, evs_hub_publish, hub, EVS_LITERAL(""), &event, NULL);
  GIVES(EVS_STATUS_INVALID_CHANNEL, evs_hub_publish, hub, EVS_LITERAL("a\n"), &event, NULL);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  GIVES(EVS_STATUS_CLOSED, evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
  evs_hub_free(hub);
}

static void channels_are_for_publishing_often(void) {
  evs_hub *hub = new_hub();
  evs_channel *channel = NULL;
  OK(evs_hub_channel, hub, EVS_LITERAL("clock"), &channel);
  CHECK_TEXT(evs_channel_name(channel), "clock");
  CHECK(evs_channel_streams(channel) == 0);
  evs_str name = evs_str_z("clock");
  evs_subscription *subscription = NULL;
  OK(evs_hub_subscribe, hub, &name, 1, &subscription);
  CHECK(evs_channel_streams(channel) == 1);
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("1");
  evs_receipt receipt = EVS_RECEIPT_INIT;
  OK(evs_channel_publish, channel, &event, &receipt);
  CHECK(receipt.streams == 1);
  OK(evs_channel_publish_wait, channel, &event, 0, NULL);
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_subscription_next, subscription, 0, &message);
  CHECK_TEXT(message.channel, "clock");
  evs_hub_free(hub); /* the channel keeps the hub alive */
  OK(evs_channel_publish, channel, &event, NULL);
  evs_channel_free(channel);
  evs_subscription_free(subscription);
}

static void waiting_for_proxies(void) {
  proxy *good = start_proxy(ANSWER("200 OK")), *bad = start_proxy(ANSWER("400 Bad Request"));
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("1");
  evs_receipt receipt = EVS_RECEIPT_INIT;

  proxy *one[] = {good};
  evs_hub *hub = hub_behind(one, 1, PATIENCE_MS);
  OK(evs_hub_publish_wait, hub, EVS_LITERAL("a"), &event, PATIENCE_MS, &receipt);
  /* A request that takes too long, as under valgrind, is sent again. */
  CHECK(receipt.proxies == 1 && receipt.proxies_failed == 0 && atomic_load(&good->requests) >= 1);
  close_hub(hub);

  proxy *two[] = {good, bad};
  hub = hub_behind(two, 2, PATIENCE_MS);
  evs_error *error = NULL;
  evs_status status = evs_hub_publish_wait(hub, EVS_LITERAL("a"), &event, PATIENCE_MS, &receipt, &error);
  CHECK(status == EVS_STATUS_PROXY_REJECTED && evs_error_status(error) == status);
  CHECK(strstr(evs_error_message(error), "400 Bad Request") != NULL);
  evs_error_free(error);
  CHECK(receipt.proxies == 2 && receipt.proxies_failed == 1 && strlen(receipt.position) == 21);
  evs_stats stats = EVS_STATS_INIT;
  OK(evs_hub_stats, hub, &stats);
  CHECK(stats.publish_failures == 1);
  close_hub(hub);
  stop_proxy(good);
  stop_proxy(bad);
}

static void waiting_may_take_too_long(void) {
  proxy *silent = start_proxy(NULL);
  evs_hub *hub = hub_behind(&silent, 1, 3600000);
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("1");
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_error *error = NULL;
  CHECK(evs_hub_publish_wait(hub, EVS_LITERAL("a"), &event, 1, &receipt, &error) == EVS_STATUS_TIMEOUT);
  evs_error_free(error);
  CHECK(strlen(receipt.position) == 21 && receipt.proxies == 1);
  for (int again = 0; again < 2; again++) {
    uint64_t undelivered = 0;
    evs_status closed = evs_hub_close(hub, again ? PATIENCE_MS : 1, &undelivered, NULL);
    CHECK(closed == EVS_STATUS_OK || (!again && closed == EVS_STATUS_TIMEOUT));
    CHECK(undelivered == 1); /* whoever asks, and whenever */
  }
  evs_hub_free(hub);
  stop_proxy(silent);
}

typedef struct answer {
  counter count;
  evs_status status;
  uint64_t proxies_failed;
  char position[EVS_POSITION_BYTES];
} answer;

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  answer *told = (answer *)user_data;
  told->status = status;
  told->proxies_failed = receipt->proxies_failed;
  memcpy(told->position, receipt->position, sizeof told->position);
  CHECK((error != NULL) == (status != EVS_STATUS_OK));
  CHECK(error == NULL || evs_error_status(error) == status);
  evs_error_free((evs_error *)error); /* not ours: left alone */
  CHECK(error == NULL || strlen(evs_error_message(error)) > 0);
  atomic_fetch_add(&told->count.calls, 1);
}

static void calling_back_when_proxies_have_answered(void) {
  proxy *good = start_proxy(ANSWER("200 OK")), *bad = start_proxy(ANSWER("400 Bad Request"));
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("1");
  const struct {
    proxy *proxies[2];
    size_t len;
    evs_status expected;
  } cases[] = {{{NULL}, 0, EVS_STATUS_OK}, {{good}, 1, EVS_STATUS_OK}, {{good, bad}, 2, EVS_STATUS_PROXY_REJECTED}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    evs_hub *hub = hub_behind(cases[i].proxies, cases[i].len, PATIENCE_MS);
    evs_receipt receipt = EVS_RECEIPT_INIT;
    answer told = {.status = EVS_STATUS_INTERNAL};
    OK(evs_hub_publish_async, hub, EVS_LITERAL("a"), &event, &receipt, on_published, &told, count_free);
    AWAIT(atomic_load(&told.count.frees) == 1);
    CHECK(atomic_load(&told.count.calls) == 1 && told.status == cases[i].expected);
    CHECK(strcmp(told.position, receipt.position) == 0);
    CHECK(told.proxies_failed == (cases[i].expected == EVS_STATUS_OK ? 0u : 1u));
    close_hub(hub);
    CHECK(atomic_load(&told.count.frees) == 1);
  }
  stop_proxy(good);
  stop_proxy(bad);
}

static void callbacks_come_when_events_end_first(void) {
  proxy *silent = start_proxy(NULL);
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("1");
  for (int with_close = 0; with_close < 2; with_close++) {
    evs_hub *hub = hub_behind(&silent, 1, 3600000);
    evs_channel *channel = NULL;
    OK(evs_hub_channel, hub, EVS_LITERAL("a"), &channel);
    answer told = {.status = EVS_STATUS_OK};
    OK(evs_channel_publish_async, channel, &event, NULL, on_published, &told, count_free);
    evs_channel_free(channel);
    if (with_close) evs_hub_close(hub, 1, NULL, NULL); /* which does not wait for the proxy */
    evs_hub_free(hub);
    AWAIT(atomic_load(&told.count.frees) == 1);
    CHECK(atomic_load(&told.count.calls) == 1 && told.status == EVS_STATUS_CLOSED);
  }
  stop_proxy(silent);
}

int main(void) {
  RUN(receipts_tell_the_place_and_the_readers);
  RUN(events_are_checked);
  RUN(channels_are_for_publishing_often);
  RUN(waiting_for_proxies);
  RUN(waiting_may_take_too_long);
  RUN(calling_back_when_proxies_have_answered);
  RUN(callbacks_come_when_events_end_first);
  return 0;
}
