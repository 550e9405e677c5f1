/* A child of a process with evstream in it: it is told, frees what it inherited, and makes its own. */
#include "client.h"
#include <sys/wait.h>

typedef struct inherited {
  evs_events *events;
  evs_server *server;
  evs_channel *channel;
  evs_reply *pulled, *fresh;
  evs_subscription *read, *called;
  counter calls;
} inherited;

static void on_message(void *user_data, const evs_message *message) {
  (void)message;
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  (void)user_data, (void)status, (void)receipt, (void)error;
}

static void in_the_child(inherited *all) {
  evs_event event = EVS_EVENT_INIT;
  evs_str name = evs_str_z("a");
  evs_channel *channel = NULL;
  evs_subscription *subscription = NULL;
  evs_server *server = NULL;
  evs_reply *reply = NULL;
  evs_stats stats = EVS_STATS_INIT;
  evs_bytes chunk;
  evs_message message = EVS_MESSAGE_INIT;
  evs_observer observer = EVS_OBSERVER_INIT;
  evs_request *request = new_request("GET", "/?channel=a");
  int fds[2];
  socket_pair(fds);
  GIVES(EVS_STATUS_FORKED, evs_events_publish, all->events, EVS_LITERAL("a"), &event, NULL);
  GIVES(EVS_STATUS_FORKED, evs_events_publish_wait, all->events, EVS_LITERAL("a"), &event, EVS_FOREVER, NULL);
  GIVES(EVS_STATUS_FORKED, evs_events_publish_async, all->events, EVS_LITERAL("a"), &event, NULL, on_published, NULL, NULL);
  GIVES(EVS_STATUS_FORKED, evs_channel_publish, all->channel, &event, NULL);
  GIVES(EVS_STATUS_FORKED, evs_events_channel, all->events, EVS_LITERAL("b"), &channel);
  GIVES(EVS_STATUS_FORKED, evs_events_open, all->events, request, NULL, &reply);
  GIVES(EVS_STATUS_FORKED, evs_events_screen, all->events, request, &reply);
  GIVES(EVS_STATUS_FORKED, evs_reply_next, all->pulled, EVS_FOREVER, &chunk);
  GIVES(EVS_STATUS_FORKED, evs_events_subscribe, all->events, &name, 1, &subscription);
  GIVES(EVS_STATUS_FORKED, evs_subscription_next, all->read, EVS_FOREVER, &message);
  GIVES(EVS_STATUS_FORKED, evs_events_stats, all->events, &stats);
  GIVES(EVS_STATUS_FORKED, evs_events_observe, all->events, &observer, NULL, NULL);
  GIVES(EVS_STATUS_FORKED, evs_server_new, all->events, &server);
  GIVES(EVS_STATUS_FORKED, evs_server_close, all->server, EVS_FOREVER);
  GIVES(EVS_STATUS_FORKED, evs_events_close, all->events, EVS_FOREVER, NULL);
  GIVES(EVS_STATUS_FORKED, evs_reply_adopt_fd, all->fresh, fds[0], EVS_FRAMING_CLOSE);
  CHECK(evs_channel_streams(all->channel) == 0);
  evs_subscription_free(all->called);
  evs_subscription_free(all->read);
  evs_reply_free(all->pulled);
  evs_reply_free(all->fresh);
  evs_channel_free(all->channel);
  evs_server_free(all->server);
  evs_events_free(all->events);
  evs_request_free(request);

  evs_events *own = new_events();
  OK(evs_events_subscribe, own, &name, 1, &subscription);
  publish(own, "a", "mine");
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK_TEXT(message.data, "mine");
  evs_subscription_free(subscription);
  close_events(own);
}

static void *publish_all_the_time(void *argument) {
  inherited *all = (inherited *)argument;
  while (atomic_load(&all->calls.frees) == 0) publish(all->events, "a", "x");
  return NULL;
}

static void children_are_told_and_never_hang(void) {
  inherited all = {.events = new_events()};
  evs_str name = evs_str_z("a"), other = evs_str_z("other");
  OK(evs_server_new, all.events, &all.server);
  OK(evs_server_mount, all.server, EVS_LITERAL("/events/"));
  OK(evs_server_listen, all.server, EVS_LITERAL("127.0.0.1:0"));
  OK(evs_events_channel, all.events, EVS_LITERAL("a"), &all.channel);
  OK(evs_events_subscribe, all.events, &name, 1, &all.read);
  OK(evs_events_subscribe_callback, all.events, &other, 1, on_message, &all.calls, NULL, &all.called);
  evs_request *request = new_request("GET", "/?channel=a");
  OK(evs_events_open, all.events, request, NULL, &all.pulled);
  OK(evs_events_open, all.events, request, NULL, &all.fresh);
  evs_request_free(request);
  evs_bytes chunk;
  OK(evs_reply_next, all.pulled, 0, &chunk);
  pthread_t publisher; /* holds locks when the process forks */
  CHECK(pthread_create(&publisher, NULL, publish_all_the_time, &all) == 0);
  for (int i = 0; i < 10; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(PATIENCE_MS / 1000);
      in_the_child(&all);
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  atomic_store(&all.calls.frees, 1);
  pthread_join(publisher, NULL);
  client *reader = get(evs_server_port(all.server), "/events/?channel=a"); /* the parent is as it was */
  EXPECT(reader, "stream-open");
  publish(all.events, "a", "still here");
  EXPECT(reader, "still here");
  hang_up(reader);
  evs_subscription_free(all.called);
  evs_subscription_free(all.read);
  evs_reply_free(all.pulled);
  evs_reply_free(all.fresh);
  evs_channel_free(all.channel);
  evs_server_free(all.server);
  close_events(all.events);
}

int main(void) {
  RUN(children_are_told_and_never_hang);
  return 0;
}
