/* Everything that may be used by several threads at the same time, used so. */
#include "client.h"

enum { THREADS = 4, ROUNDS = 200 };

typedef struct shared {
  evs_hub *hub;
  evs_server *server;
  evs_channel *channel;
  uint16_t port;
  atomic_int messages, opened, frees;
} shared;

static void on_message(void *user_data, const evs_message *message) {
  if (message->kind == EVS_MESSAGE_KIND_EVENT) atomic_fetch_add(&((shared *)user_data)->messages, 1);
}

static void on_opened(void *user_data, const evs_stream_info *stream) {
  (void)stream;
  atomic_fetch_add(&((shared *)user_data)->opened, 1);
}

static void freed(void *user_data) {
  atomic_fetch_add(&((shared *)user_data)->frees, 1);
}

static void on_ready(void *user_data) {
  (void)user_data;
}

static void authorize(void *user_data, const evs_request *request, evs_access *access) {
  (void)user_data;
  evs_str query = evs_request_query(request);
  CHECK(query.len > 0);
  OK(evs_access_allow, access);
}

static void on_line(void *user_data, uint32_t level, evs_str target, evs_str message) {
  (void)user_data, (void)level;
  CHECK(target.len > 0 && message.len > 0);
}

static void *work(void *argument) {
  shared *all = (shared *)argument;
  evs_str name = evs_str_z("a");
  for (int round = 0; round < ROUNDS; round++) {
    publish(all->hub, "a", "x");
    evs_event event = EVS_EVENT_INIT;
    event.data = evs_str_z("y");
    evs_receipt receipt = EVS_RECEIPT_INIT;
    OK(evs_channel_publish, all->channel, &event, &receipt);
    evs_stats stats = EVS_STATS_INIT;
    OK(evs_hub_stats, all->hub, &stats);
    CHECK(evs_server_port(all->server) == all->port && evs_server_address(all->server).len > 0);
    if (round % 10 != 0) continue;
    evs_subscription *subscription = NULL, *called = NULL;
    OK(evs_hub_subscribe, all->hub, &name, 1, &subscription);
    OK(evs_hub_subscribe_callback, all->hub, &name, 1, on_message, all, freed, &called);
    publish(all->hub, "a", "z");
    evs_message message = EVS_MESSAGE_INIT;
    OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
    evs_subscription_free(subscription);
    evs_subscription_free(called);
    evs_request *request = new_request("GET", "/?channel=a");
    evs_reply *reply = NULL;
    evs_bytes chunk;
    OK(evs_hub_open, all->hub, request, everything(), &reply);
    OK(evs_reply_next, reply, 0, &chunk);
    evs_status status = evs_reply_poll(reply, &chunk, on_ready, all, freed, NULL);
    CHECK(status == EVS_STATUS_OK || status == EVS_STATUS_PENDING);
    evs_reply_free(reply);
    evs_request_free(request);
    client *reader = get(all->port, "/events/?channel=a");
    EXPECT(reader, "stream-open");
    hang_up(reader);
    OK(evs_log_set, EVS_LOG_LEVEL_TRACE, on_line, all, freed);
  }
  return NULL;
}

static void all_at_the_same_time(void) {
  shared all = {.hub = new_hub()};
  evs_observer observer = EVS_OBSERVER_INIT;
  observer.stream_opened = on_opened;
  OK(evs_hub_observe, all.hub, &observer, &all, freed);
  OK(evs_server_new, all.hub, &all.server);
  OK(evs_server_mount_authorize, all.server, EVS_LITERAL("/events/"), authorize, &all, freed);
  OK(evs_server_listen, all.server, EVS_LITERAL("127.0.0.1:0"));
  all.port = evs_server_port(all.server);
  OK(evs_hub_channel, all.hub, EVS_LITERAL("a"), &all.channel);
  pthread_t workers[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&workers[i], NULL, work, &all) == 0);
  for (int i = 0; i < THREADS; i++) pthread_join(workers[i], NULL);
  OK(evs_log_set, EVS_LOG_LEVEL_OFF, NULL, NULL, NULL);
  evs_channel_free(all.channel);
  OK(evs_hub_close, all.hub, PATIENCE_MS, NULL);
  evs_server_free(all.server);
  evs_hub_free(all.hub);
  int rounds = THREADS * (ROUNDS / 10);
  CHECK(atomic_load(&all.frees) == 3 * rounds + 2); /* subscription, poll and log each round; observer and mount */
  CHECK(atomic_load(&all.opened) == 2 * rounds);
}

static void *close_it(void *argument) {
  OK(evs_hub_close, (evs_hub *)argument, PATIENCE_MS, NULL);
  return NULL;
}

/* Closing while others block in calls, publish and close too. */
static void closed_while_it_is_used(void) {
  for (int round = 0; round < 20; round++) {
    evs_hub *hub = new_hub();
    evs_str name = evs_str_z("a");
    evs_subscription *subscription = NULL;
    OK(evs_hub_subscribe, hub, &name, 1, &subscription);
    pthread_t closers[2];
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&closers[i], NULL, close_it, hub) == 0);
    evs_event event = EVS_EVENT_INIT;
    evs_status status = EVS_STATUS_OK;
    while (status == EVS_STATUS_OK) status = evs_hub_publish(hub, EVS_LITERAL("a"), &event, NULL, NULL);
    CHECK(status == EVS_STATUS_CLOSED);
    evs_message message = EVS_MESSAGE_INIT;
    do status = evs_subscription_next(subscription, EVS_FOREVER, &message, NULL);
    while (status == EVS_STATUS_OK);
    CHECK(status == EVS_STATUS_ENDED);
    for (int i = 0; i < 2; i++) pthread_join(closers[i], NULL);
    evs_subscription_free(subscription);
    evs_hub_free(hub);
  }
}

int main(void) {
  RUN(all_at_the_same_time);
  RUN(closed_while_it_is_used);
  return 0;
}
