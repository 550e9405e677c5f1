/* Being told of streams that come and go, and the figures. */
#include "client.h"

typedef struct witness {
  counter count;
  evs_hub *hub;
  atomic_int opened, closed, failed;
  atomic_uint reason;
  char user[64], channels[64], peer[64];
} witness;

static void stream_opened(void *user_data, const evs_stream_info *stream) {
  witness *self = (witness *)user_data;
  CHECK(stream->struct_size == sizeof *stream && strlen(stream->position) == 21);
  snprintf(self->user, sizeof self->user, "%.*s", (int)stream->user.len, stream->user.ptr);
  snprintf(self->peer, sizeof self->peer, "%.*s", (int)stream->peer.len, stream->peer.ptr);
  self->channels[0] = '\0';
  for (size_t i = 0; i < stream->channels_len; i++) {
    strncat(self->channels, stream->channels[i].ptr, stream->channels[i].len);
    strcat(self->channels, ";");
  }
  atomic_fetch_add(&self->opened, 1);
}

static void stream_closed(void *user_data, const evs_stream_info *stream, uint32_t reason) {
  witness *self = (witness *)user_data;
  CHECK(stream->channels_len == 2);
  atomic_store(&self->reason, reason);
  publish(self->hub, "log", "somebody has left"); /* it may call the library */
  atomic_fetch_add(&self->closed, 1);
}

static void publish_failed(void *user_data, const evs_publish_failure *failure) {
  witness *self = (witness *)user_data;
  CHECK(failure->struct_size == sizeof *failure && strlen(failure->position) == 21);
  CHECK_TEXT(failure->proxy, "http://127.0.0.1:1");
  CHECK_TEXT(failure->channel, "events-a");
  CHECK(evs_error_status(failure->error) == EVS_STATUS_PROXY_UNAVAILABLE);
  evs_error_free((evs_error *)failure->error); /* not ours: left alone */
  CHECK(strlen(evs_error_message(failure->error)) > 0);
  atomic_fetch_add(&self->failed, 1);
}

static void observe(evs_hub *hub, witness *self) {
  evs_observer observer = EVS_OBSERVER_INIT;
  observer.stream_opened = stream_opened;
  observer.stream_closed = stream_closed;
  observer.publish_failed = publish_failed;
  self->hub = hub;
  OK(evs_hub_observe, hub, &observer, self, count_free);
}

static evs_reply *open_stream(evs_hub *hub) {
  evs_request *request = new_request("GET", "/");
  evs_access *access = NULL;
  evs_reply *reply = NULL;
  OK(evs_request_set_peer, request, EVS_LITERAL("192.0.2.1"));
  OK(evs_access_new, &access);
  evs_str channels[] = {evs_str_z("a"), evs_str_z("b")};
  OK(evs_access_set_channels, access, channels, 2);
  OK(evs_access_set_user, access, EVS_LITERAL("bob"));
  OK(evs_hub_open, hub, request, access, &reply);
  evs_access_free(access);
  evs_request_free(request);
  return reply;
}

static void streams_are_told(void) {
  evs_hub *hub = new_hub();
  witness self = {.user = ""};
  observe(hub, &self);
  evs_reply *reply = open_stream(hub);
  CHECK(atomic_load(&self.opened) == 1 && strcmp(self.user, "bob") == 0);
  CHECK(strcmp(self.channels, "a;b;") == 0 && strcmp(self.peer, "192.0.2.1") == 0);
  evs_reply_free(reply);
  CHECK(atomic_load(&self.closed) == 1 && atomic_load(&self.reason) == EVS_CLOSE_REASON_DROPPED);

  reply = open_stream(hub);
  int fds[2];
  socket_pair(fds);
  OK(evs_reply_adopt_fd, reply, fds[1], EVS_FRAMING_CLOSE);
  evs_reply_free(reply);
  close(fds[0]);
  close(fds[1]);
  AWAIT(atomic_load(&self.closed) == 2);
  CHECK(atomic_load(&self.reason) == EVS_CLOSE_REASON_CLIENT);

  witness second = {.user = ""};
  evs_observer observer = EVS_OBSERVER_INIT;
  evs_error *error = NULL;
  CHECK(evs_hub_observe(hub, &observer, &second, count_free, &error) == EVS_STATUS_INVALID_ARGUMENT);
  evs_error_free(error);
  CHECK(atomic_load(&second.count.frees) == 1);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  CHECK(atomic_load(&self.count.frees) == 0);
  evs_hub_free(hub);
  CHECK(atomic_load(&self.count.frees) == 1 && atomic_load(&self.opened) == 2);
}

static void failures_are_told(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_text, config, EVS_OPTION_GRIP, EVS_LITERAL("http://127.0.0.1:1/"));
  OK(evs_config_set_integer, config, EVS_OPTION_GRIP_DEADLINE_MS, 100);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  witness self = {.user = ""};
  observe(hub, &self);
  publish(hub, "a", "1");
  AWAIT(atomic_load(&self.failed) == 1);
  close_hub(hub);
  CHECK(atomic_load(&self.count.frees) == 1);
}

static void figures(void) {
  evs_hub *hub = new_hub();
  evs_stats stats = EVS_STATS_INIT;
  OK(evs_hub_stats, hub, &stats);
  CHECK(stats.struct_size == sizeof stats && stats.open == 0 && stats.opened == 0 && stats.published == 0);
  evs_reply *reply = open_stream(hub);
  publish(hub, "a", "12345");
  publish(hub, "c", "12345");
  evs_bytes chunk;
  OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
  OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
  OK(evs_hub_stats, hub, &stats);
  CHECK(stats.open == 1 && stats.opened == 1 && stats.published == 2 && stats.deliveries == 1 && stats.channels == 3);
  CHECK(stats.bytes >= chunk.len && stats.history_bytes > 10 && stats.closed_dropped == 0);
  evs_reply_free(reply);
  evs_request *old = new_request("GET", "/?channel=a&lastEventId=00000000-000000000001");
  OK(evs_hub_open, hub, old, everything(), &reply);
  OK(evs_hub_stats, hub, &stats);
  CHECK(stats.open == 1 && stats.opened == 2 && stats.closed_dropped == 1 && stats.resets_epoch == 1);
  evs_reply_free(reply);
  evs_request_free(old);
  close_hub(hub);
}

int main(void) {
  RUN(streams_are_told);
  RUN(failures_are_told);
  RUN(figures);
  return 0;
}
