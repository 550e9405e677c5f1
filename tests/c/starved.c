/* A system that gives no thread and no descriptor any more: an error, and all is well again later. */
#include "client.h"
#include <dlfcn.h>
#include <sys/resource.h>

static atomic_int no_threads;

/* In place of the C library's, also for evstream. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (atomic_load(&no_threads)) return EAGAIN;
  create_fn *real;
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  return real(thread, attributes, start, argument);
}

static void on_message(void *user_data, const evs_message *message) {
  (void)message;
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  (void)user_data, (void)status, (void)receipt, (void)error;
}

static void without_threads(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL, *plain = new_hub();
  evs_server *server = NULL;
  evs_subscription *subscription = NULL;
  evs_reply *reply = NULL;
  evs_request *request = new_request("GET", "/?channel=a");
  evs_event event = EVS_EVENT_INIT;
  evs_str name = evs_str_z("a");
  counter self = {0};
  OK(evs_config_new, &config);
  OK(evs_config_set_text, config, EVS_OPTION_GRIP, EVS_LITERAL("http://127.0.0.1:1/"));
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  OK(evs_server_new, plain, &server);
  evs_hub *started = new_hub(); /* which has all the threads it needs but that of the callback */
  OK(evs_hub_subscribe, started, &name, 1, &subscription);
  evs_subscription_free(subscription);

  atomic_store(&no_threads, 1);
  GIVES(EVS_STATUS_IO, evs_hub_subscribe_callback, started, &name, 1, on_message, &self, count_free, &subscription);
  CHECK(atomic_load(&self.frees) == 2 && atomic_load(&self.calls) == 0 && subscription == NULL);
  GIVES(EVS_STATUS_IO, evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  GIVES(EVS_STATUS_IO, evs_hub_subscribe_callback, plain, &name, 1, on_message, &self, count_free, &subscription);
  CHECK(atomic_load(&self.frees) == 4 && subscription == NULL);
  GIVES(EVS_STATUS_IO, evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
  GIVES(EVS_STATUS_IO, evs_hub_publish_wait, hub, EVS_LITERAL("a"), &event, EVS_FOREVER, NULL);
  GIVES(EVS_STATUS_IO, evs_hub_publish_async, hub, EVS_LITERAL("a"), &event, NULL, on_published, &self, count_free);
  CHECK(atomic_load(&self.frees) == 6);
  evs_bytes chunk;
  OK(evs_hub_open, plain, request, everything(), &reply); /* opening takes none, reading it does */
  evs_reply_skip_body(reply);
  CHECK(evs_reply_next(reply, 0, &chunk, NULL) != EVS_STATUS_PANIC);
  evs_reply_free(reply);
  atomic_store(&no_threads, 0);

  OK(evs_server_mount, server, EVS_LITERAL("/events/"));
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  OK(evs_hub_subscribe_callback, plain, &name, 1, on_message, &self, count_free, &subscription);
  client *reader = get(evs_server_port(server), "/events/?channel=a");
  EXPECT(reader, "stream-open");
  publish(plain, "a", "threads again");
  EXPECT(reader, "threads again");
  AWAIT(atomic_load(&self.calls) == 1);
  OK(evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);

  atomic_store(&no_threads, 1); /* closing works without more of them */
  OK(evs_hub_close, plain, PATIENCE_MS, NULL);
  AWAIT(evs_hub_close(hub, 100, NULL, NULL) == EVS_STATUS_OK);
  OK(evs_hub_close, started, PATIENCE_MS, NULL);
  atomic_store(&no_threads, 0);
  hang_up(reader);
  evs_subscription_free(subscription);
  evs_request_free(request);
  evs_server_free(server);
  evs_hub_free(started);
  evs_hub_free(plain);
  evs_hub_free(hub);
}

static void without_descriptors(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  evs_reply *reply = NULL;
  evs_request *request = new_request("GET", "/?channel=a");
  evs_bytes chunk;
  int fds[2];
  socket_pair(fds);
  OK(evs_server_new, hub, &server);
  OK(evs_hub_open, hub, request, everything(), &reply);
  struct rlimit all, none;
  CHECK(getrlimit(RLIMIT_NOFILE, &all) == 0);
  none = all;
  none.rlim_cur = (rlim_t)fds[1]; /* those that are open stay so */
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
  GIVES(EVS_STATUS_IO, evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  GIVES(EVS_STATUS_IO, evs_reply_adopt_fd, reply, fds[0], EVS_FRAMING_CLOSE);
  evs_ready_queue *queue = (evs_ready_queue *)&queue;
  GIVES(EVS_STATUS_IO, evs_ready_queue_new, &queue);
  CHECK(queue == NULL);
  CHECK(setrlimit(RLIMIT_NOFILE, &all) == 0);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  OK(evs_reply_adopt_fd, reply, fds[0], EVS_FRAMING_CLOSE); /* the reply is as it was */
  close(fds[0]);
  client *reader = client_on(fds[1]);
  EXPECT(reader, "stream-open");
  hang_up(reader);
  evs_reply_free(reply);
  OK(evs_hub_open, hub, request, everything(), &reply);
  OK(evs_reply_next, reply, 0, &chunk);
  evs_reply_free(reply);
  evs_request_free(request);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  evs_server_free(server);
  evs_hub_free(hub);
}

int main(void) {
  RUN(without_threads);
  RUN(without_descriptors);
  return 0;
}
