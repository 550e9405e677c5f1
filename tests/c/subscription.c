/* Reading channels in the process: pulled, and called back. */
#include "check.h"

static void pulled_in_order_over_channels(void) {
  evs_hub *hub = new_hub();
  evs_str channels[] = {evs_str_z("a"), evs_str_z("b"), evs_str_z("a")};
  evs_subscription *subscription = NULL;
  OK(evs_hub_subscribe, hub, channels, 3, &subscription);
  publish(hub, "b", "1");
  publish(hub, "c", "not ours");
  publish(hub, "a", "2\r\n3");
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_subscription_next, subscription, EVS_FOREVER, &message);
  CHECK_TEXT(message.channel, "b");
  CHECK_TEXT(message.data, "1");
  CHECK(message.name.len == 0 && message.channels_len == 0);
  OK(evs_subscription_next, subscription, 0, &message);
  CHECK_TEXT(message.channel, "a");
  CHECK_TEXT(message.data, "2\n3");
  OK_GIVES(EVS_STATUS_TIMEOUT, evs_subscription_next, subscription, 1, &message);
  publish(hub, "a", "last");
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  OK(evs_subscription_next, subscription, 0, &message);
  CHECK_TEXT(message.data, "last");
  GIVES(EVS_STATUS_ENDED, evs_subscription_next, subscription, EVS_FOREVER, &message);
  evs_subscription_free(subscription);
  evs_hub_free(hub);
}

static void one_that_is_too_slow_is_told(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_integer, config, EVS_OPTION_BACKLOG_EVENTS, 1);
  OK(evs_config_set_integer, config, EVS_OPTION_HISTORY_EVENTS, 1);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  evs_str channels[] = {evs_str_z("fast"), evs_str_z("calm")};
  evs_subscription *subscription = NULL;
  OK(evs_hub_subscribe, hub, channels, 2, &subscription);
  for (int i = 0; i < 3; i++) publish(hub, "fast", "x");
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK(message.kind == EVS_MESSAGE_KIND_RESET && message.channels_len == 1 && strlen(message.position) == 21);
  CHECK_TEXT(message.channels[0], "fast");
  CHECK(message.channel.len == 0 && message.data.len == 0);
  publish(hub, "calm", "y");
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK_TEXT(message.data, "y");
  evs_subscription_free(subscription);
  close_hub(hub);
}

typedef struct reader {
  counter count;
  atomic_int entered;
  evs_subscription *subscription; /* to be freed by the callback, if not NULL */
  pthread_mutex_t gate;           /* held by a test to keep a callback running */
  char last[64];
} reader;

static void on_message(void *user_data, const evs_message *message) {
  reader *self = (reader *)user_data;
  CHECK(message->struct_size == sizeof *message);
  atomic_fetch_add(&self->entered, 1);
  pthread_mutex_lock(&self->gate);
  snprintf(self->last, sizeof self->last, "%.*s", (int)message->data.len, message->data.ptr);
  evs_subscription_free(self->subscription);
  self->subscription = NULL;
  pthread_mutex_unlock(&self->gate);
  atomic_fetch_add(&self->count.calls, 1);
}

static void called_back(void) {
  evs_hub *hub = new_hub();
  evs_str channel = evs_str_z("a");
  reader self = {.gate = PTHREAD_MUTEX_INITIALIZER};
  evs_subscription *subscription = NULL;
  OK(evs_hub_subscribe_callback, hub, &channel, 1, on_message, &self, count_free, &subscription);
  evs_message message = EVS_MESSAGE_INIT;
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_subscription_next, subscription, 0, &message);
  char data[16];
  for (int i = 1; i <= 100; i++) {
    snprintf(data, sizeof data, "%d", i);
    publish(hub, "a", data);
  }
  AWAIT(atomic_load(&self.count.calls) == 100);
  CHECK(strcmp(self.last, "100") == 0 && atomic_load(&self.count.frees) == 0);
  evs_subscription_free(subscription);
  AWAIT(atomic_load(&self.count.frees) == 1);
  publish(hub, "a", "unheard");
  close_hub(hub);
  CHECK(atomic_load(&self.count.calls) == 100 && atomic_load(&self.count.frees) == 1);
}

static void freed_by_its_own_callback(void) {
  evs_hub *hub = new_hub();
  evs_str channel = evs_str_z("a");
  reader self = {.gate = PTHREAD_MUTEX_INITIALIZER};
  pthread_mutex_lock(&self.gate);
  OK(evs_hub_subscribe_callback, hub, &channel, 1, on_message, &self, count_free, &self.subscription);
  pthread_mutex_unlock(&self.gate);
  publish(hub, "a", "1");
  publish(hub, "a", "2");
  AWAIT(atomic_load(&self.count.frees) == 1);
  CHECK(atomic_load(&self.count.calls) == 1 && strcmp(self.last, "1") == 0);
  close_hub(hub);
}

static void freed_while_its_callback_runs(void) {
  evs_hub *hub = new_hub();
  evs_str channel = evs_str_z("a");
  reader self = {.gate = PTHREAD_MUTEX_INITIALIZER};
  evs_subscription *subscription = NULL;
  pthread_mutex_lock(&self.gate);
  OK(evs_hub_subscribe_callback, hub, &channel, 1, on_message, &self, count_free, &subscription);
  publish(hub, "a", "1");
  AWAIT(atomic_load(&self.entered) == 1);
  evs_subscription_free(subscription); /* does not wait */
  GIVES(EVS_STATUS_TIMEOUT, evs_hub_close, hub, 1, NULL);
  CHECK(atomic_load(&self.count.frees) == 0);
  pthread_mutex_unlock(&self.gate);
  AWAIT(atomic_load(&self.count.frees) == 1);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  evs_hub_free(hub);
}

static void closed_before_it_is_freed(void) {
  evs_hub *hub = new_hub();
  evs_str channel = evs_str_z("a");
  reader self = {.gate = PTHREAD_MUTEX_INITIALIZER};
  evs_subscription *subscription = NULL;
  OK(evs_hub_subscribe_callback, hub, &channel, 1, on_message, &self, count_free, &subscription);
  publish(hub, "a", "1");
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  CHECK(atomic_load(&self.count.frees) == 1 && atomic_load(&self.count.calls) == 1);
  evs_hub_free(hub);
  evs_subscription_free(subscription);
}

static void channels_are_checked(void) {
  evs_hub *hub = new_hub();
  evs_subscription *subscription = (evs_subscription *)&subscription;
  GIVES(EVS_STATUS_INVALID_CHANNEL, evs_hub_subscribe, hub, NULL, 0, &subscription);
  CHECK(subscription == NULL);
  evs_str bad = {"", 0};
  GIVES(EVS_STATUS_INVALID_CHANNEL, evs_hub_subscribe, hub, &bad, 1, &subscription);
  reader self = {.gate = PTHREAD_MUTEX_INITIALIZER};
  evs_error *error = NULL;
  CHECK(evs_hub_subscribe_callback(hub, &bad, 1, on_message, &self, count_free, &subscription, &error) ==
        EVS_STATUS_INVALID_CHANNEL);
  evs_error_free(error);
  CHECK(atomic_load(&self.count.frees) == 1);
  close_hub(hub);
}

int main(void) {
  RUN(pulled_in_order_over_channels);
  RUN(one_that_is_too_slow_is_told);
  RUN(called_back);
  RUN(freed_by_its_own_callback);
  RUN(freed_while_its_callback_runs);
  RUN(closed_before_it_is_freed);
  RUN(channels_are_checked);
  return 0;
}
