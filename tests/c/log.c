/* The log of the process, sent to a callback. */
#include "client.h"

typedef struct lines {
  counter count;
  pthread_mutex_t lock;
  char text[4096];
  uint32_t last_level;
} lines;

static void on_line(void *user_data, uint32_t level, evs_str target, evs_str message) {
  lines *self = (lines *)user_data;
  pthread_mutex_lock(&self->lock);
  size_t len = strlen(self->text);
  snprintf(self->text + len, sizeof self->text - len, "%.*s: %.*s\n", (int)target.len, target.ptr, (int)message.len, message.ptr);
  self->last_level = level;
  pthread_mutex_unlock(&self->lock);
  atomic_fetch_add(&self->count.calls, 1);
}

/* Lets a server listen, which the library logs at level info. */
static void make_a_line(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  evs_server_free(server);
  close_hub(hub);
}

static void lines_come_by_level(void) {
  lines warnings = {.lock = PTHREAD_MUTEX_INITIALIZER}, infos = {.lock = PTHREAD_MUTEX_INITIALIZER};
  make_a_line(); /* without a callback nothing happens */
  OK(evs_log_set, EVS_LOG_LEVEL_WARN, on_line, &warnings, count_free);
  make_a_line();
  CHECK(atomic_load(&warnings.count.calls) == 0);
  OK(evs_log_set, EVS_LOG_LEVEL_INFO, on_line, &infos, count_free);
  CHECK(atomic_load(&warnings.count.frees) == 1);
  make_a_line();
  CHECK(atomic_load(&infos.count.calls) == 1 && infos.last_level == EVS_LOG_LEVEL_INFO);
  CHECK(strstr(infos.text, "evstream::server: listening address=127.0.0.1:") != NULL);
  OK(evs_log_set, EVS_LOG_LEVEL_OFF, NULL, NULL, NULL);
  CHECK(atomic_load(&infos.count.frees) == 1);
  make_a_line();
  CHECK(atomic_load(&infos.count.calls) == 1);
  lines refused = {.lock = PTHREAD_MUTEX_INITIALIZER};
  evs_error *error = NULL;
  CHECK(evs_log_set(6, on_line, &refused, count_free, &error) == EVS_STATUS_INVALID_ARGUMENT);
  evs_error_free(error);
  CHECK(atomic_load(&refused.count.frees) == 1);
}

/* Lets a server listen, in a line about another: what is logged meanwhile is left out. */
static void listen_from_a_line(void *user_data, uint32_t level, evs_str target, evs_str message) {
  (void)level, (void)target, (void)message;
  counter *self = (counter *)user_data;
  atomic_fetch_add(&self->calls, 1);
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  GIVES(EVS_STATUS_IN_CALLBACK, evs_hub_close, hub, 0, NULL);
  evs_server_free(server);
  evs_hub_free(hub);
}

static void replace_from_a_line(void *user_data, uint32_t level, evs_str target, evs_str message) {
  (void)level, (void)target, (void)message;
  counter *self = (counter *)user_data;
  OK(evs_log_set, EVS_LOG_LEVEL_OFF, NULL, NULL, NULL);
  CHECK(atomic_load(&self->frees) == 0); /* it is still running */
  atomic_fetch_add(&self->calls, 1);
}

static void lines_may_call_the_library(void) {
  counter nested = {0}, replaced = {0};
  OK(evs_log_set, EVS_LOG_LEVEL_INFO, listen_from_a_line, &nested, count_free);
  make_a_line();
  OK(evs_log_set, EVS_LOG_LEVEL_INFO, replace_from_a_line, &replaced, count_free);
  make_a_line();
  CHECK(atomic_load(&replaced.calls) == 1 && atomic_load(&replaced.frees) == 1);
  CHECK(atomic_load(&nested.calls) == 1 && atomic_load(&nested.frees) == 1);
}

int main(void) {
  RUN(lines_come_by_level);
  RUN(lines_may_call_the_library);
  return 0;
}
