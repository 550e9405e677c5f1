/* A child of a process with evstream in it: it is told, frees what it inherited, and makes its own. */
#include "client.h"
#include <sys/wait.h>

typedef struct inherited {
  evs_hub *hub;
  evs_server *server;
  evs_channel *channel;
  evs_reply *pulled, *fresh;
  evs_subscription *read, *called;
  evs_ready_queue *queue;
  counter calls;
} inherited;

static void on_message(void *user_data, const evs_message *message) {
  (void)message;
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  (void)user_data, (void)status, (void)receipt, (void)error;
}

static void on_request(void *user_data, const evs_request *request, evs_response *response) {
  (void)user_data, (void)request, (void)response;
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
  GIVES(EVS_STATUS_FORKED, evs_hub_publish, all->hub, EVS_LITERAL("a"), &event, NULL);
  GIVES(EVS_STATUS_FORKED, evs_hub_publish_wait, all->hub, EVS_LITERAL("a"), &event, EVS_FOREVER, NULL);
  GIVES(EVS_STATUS_FORKED, evs_hub_publish_async, all->hub, EVS_LITERAL("a"), &event, NULL, on_published, NULL, NULL);
  GIVES(EVS_STATUS_FORKED, evs_channel_publish, all->channel, &event, NULL);
  GIVES(EVS_STATUS_FORKED, evs_hub_channel, all->hub, EVS_LITERAL("b"), &channel);
  OK(evs_hub_open, all->hub, request, everything(), &reply);
  CHECK(evs_reply_status(reply) == 503 && !evs_reply_has_stream(reply));
  evs_reply_free(reply);
  OK(evs_hub_screen, all->hub, request, &reply);
  CHECK(evs_reply_status(reply) == 503 && !evs_reply_has_stream(reply));
  evs_reply_free(reply);
  GIVES(EVS_STATUS_FORKED, evs_reply_next, all->pulled, 0, &chunk);
  GIVES(EVS_STATUS_FORKED, evs_hub_subscribe, all->hub, &name, 1, &subscription);
  GIVES(EVS_STATUS_FORKED, evs_subscription_next, all->read, EVS_FOREVER, &message);
  GIVES(EVS_STATUS_FORKED, evs_hub_stats, all->hub, &stats);
  evs_text *text = NULL;
  GIVES(EVS_STATUS_FORKED, evs_hub_metrics, all->hub, true, &text);
  CHECK(text == NULL);
  bool ready = true, live = false;
  OK(evs_hub_health, all->hub, &ready, &live, NULL);
  CHECK(!ready && live);
  char position[EVS_POSITION_BYTES];
  GIVES(EVS_STATUS_FORKED, evs_hub_position, all->hub, &position);
  GIVES(EVS_STATUS_FORKED, evs_reply_attach, all->fresh, all->queue, NULL);
  GIVES(EVS_STATUS_FORKED, evs_subscription_attach, all->read, all->queue, NULL);
  CHECK(!evs_ready_queue_pop(all->queue, NULL));
  GIVES(EVS_STATUS_FORKED, evs_hub_observe, all->hub, &observer, NULL, NULL);
  GIVES(EVS_STATUS_FORKED, evs_server_new, all->hub, &server);
  GIVES(EVS_STATUS_FORKED, evs_server_close, all->server, EVS_FOREVER);
  GIVES(EVS_STATUS_FORKED, evs_hub_close, all->hub, EVS_FOREVER, NULL);
  GIVES(EVS_STATUS_FORKED, evs_reply_adopt_fd, all->fresh, fds[0], EVS_FRAMING_CLOSE);
  CHECK(evs_channel_streams(all->channel) == 0);
  evs_subscription_free(all->called);
  evs_subscription_free(all->read);
  evs_reply_free(all->pulled);
  evs_reply_free(all->fresh);
  evs_channel_free(all->channel);
  evs_server_free(all->server);
  evs_ready_queue_free(all->queue);
  evs_hub_free(all->hub);
  evs_request_free(request);

  evs_hub *own = new_hub();
  OK(evs_hub_subscribe, own, &name, 1, &subscription);
  publish(own, "a", "mine");
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK_TEXT(message.data, "mine");
  evs_subscription_free(subscription);
  close_hub(own);
}

static void *publish_all_the_time(void *argument) {
  inherited *all = (inherited *)argument;
  while (atomic_load(&all->calls.frees) == 0) publish(all->hub, "a", "x");
  return NULL;
}

static void children_are_told_and_never_hang(void) {
  inherited all = {.hub = new_hub()};
  evs_str name = evs_str_z("a"), other = evs_str_z("other");
  OK(evs_server_new, all.hub, &all.server);
  OK(evs_server_mount, all.server, EVS_LITERAL("/events/"));
  OK(evs_server_listen, all.server, EVS_LITERAL("127.0.0.1:0"));
  OK(evs_hub_channel, all.hub, EVS_LITERAL("a"), &all.channel);
  OK(evs_hub_subscribe, all.hub, &name, 1, &all.read);
  OK(evs_hub_subscribe_callback, all.hub, &other, 1, on_message, &all.calls, NULL, &all.called);
  evs_request *request = new_request("GET", "/?channel=a");
  OK(evs_hub_open, all.hub, request, everything(), &all.pulled);
  OK(evs_hub_open, all.hub, request, everything(), &all.fresh);
  evs_request_free(request);
  evs_bytes chunk;
  OK(evs_reply_next, all.pulled, 0, &chunk);
  OK(evs_ready_queue_new, &all.queue);
  evs_reply *told = all.pulled;
  OK(evs_reply_attach, told, all.queue, &all);
  OK_GIVES(EVS_STATUS_PENDING, evs_reply_next, told, 0, &chunk);
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
  publish(all.hub, "a", "still here");
  EXPECT(reader, "still here");
  hang_up(reader);
  void *user_data = NULL;
  AWAIT(evs_ready_queue_pop(all.queue, &user_data)); /* no child has taken it */
  CHECK(user_data == &all);
  evs_ready_queue_free(all.queue);
  evs_subscription_free(all.called);
  evs_subscription_free(all.read);
  evs_reply_free(all.pulled);
  evs_reply_free(all.fresh);
  evs_channel_free(all.channel);
  evs_server_free(all.server);
  close_hub(all.hub);
}

static void on_line(void *user_data, uint32_t level, evs_str target, evs_str message) {
  (void)user_data, (void)level, (void)target, (void)message;
}

static void *log_all_the_time(void *argument) {
  counter *until = (counter *)argument;
  while (atomic_load(&until->calls) == 0) OK(evs_log_set, EVS_LOG_LEVEL_TRACE, on_line, NULL, NULL);
  return NULL;
}

/* Lets a server listen, which is logged. */
static void make_a_line(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  evs_server_free(server);
  close_hub(hub);
}

/* Whatever the threads of the parent were doing to the log when it forked. */
static void children_have_a_log(void) {
  counter until = {0};
  pthread_t loggers[2];
  OK(evs_log_set, EVS_LOG_LEVEL_TRACE, on_line, NULL, NULL);
  make_a_line();
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&loggers[i], NULL, log_all_the_time, &until) == 0);
  for (int i = 0; i < 200; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(PATIENCE_MS / 1000);
      OK(evs_log_set, EVS_LOG_LEVEL_INFO, on_line, NULL, NULL);
      if (i % 20 == 0) make_a_line();
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  atomic_store(&until.calls, 1);
  for (int i = 0; i < 2; i++) pthread_join(loggers[i], NULL);
  OK(evs_log_set, EVS_LOG_LEVEL_OFF, NULL, NULL, NULL);
}

typedef struct busy {
  evs_ready_queue *queue;
  evs_server *server;
  atomic_int is_over;
} busy;

static void *pop_all_the_time(void *argument) {
  busy *self = (busy *)argument;
  while (atomic_load(&self->is_over) == 0) evs_ready_queue_pop(self->queue, NULL);
  return NULL;
}

static void *mount_all_the_time(void *argument) {
  busy *self = (busy *)argument;
  while (atomic_load(&self->is_over) == 0) OK(evs_server_fallback, self->server, on_request, NULL, NULL);
  return NULL;
}

/* Whatever its threads were doing with it when the process forked. */
static void children_may_free_what_is_in_use(void) {
  busy self = {.queue = NULL};
  evs_hub *hub = new_hub();
  evs_reply *reply = NULL;
  evs_request *request = new_request("GET", "/?channel=a");
  pthread_t threads[2];
  OK(evs_ready_queue_new, &self.queue);
  OK(evs_server_new, hub, &self.server);
  OK(evs_hub_open, hub, request, everything(), &reply);
  OK(evs_reply_attach, reply, self.queue, NULL);
  CHECK(pthread_create(&threads[0], NULL, pop_all_the_time, &self) == 0);
  CHECK(pthread_create(&threads[1], NULL, mount_all_the_time, &self) == 0);
  for (int i = 0; i < 100; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(PATIENCE_MS / 1000);
      CHECK(evs_ready_queue_fd(self.queue) >= 0 && !evs_ready_queue_pop(self.queue, NULL));
      GIVES(EVS_STATUS_FORKED, evs_server_mount, self.server, EVS_LITERAL("/events/"));
      evs_ready_queue_free(self.queue);
      evs_reply_free(reply);
      evs_server_free(self.server);
      evs_hub_free(hub);
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  atomic_store(&self.is_over, 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  evs_reply_free(reply);
  evs_request_free(request);
  evs_ready_queue_free(self.queue);
  evs_server_free(self.server);
  close_hub(hub);
}

int main(void) {
  RUN(children_may_free_what_is_in_use);
  RUN(children_have_a_log);
  RUN(children_are_told_and_never_hang);
  return 0;
}
