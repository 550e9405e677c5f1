/* What callers see of a bug inside: a status, and nothing that is broken. Needs a debug build of the library. */
#include "every.h"

/* Of debug builds: has every call of this thread panic. */
void evs_test_panic(bool panics);

static void on_message(void *user_data, const evs_message *message) {
  (void)user_data, (void)message;
  fail(__FILE__, __LINE__, "it was called");
}

static void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) {
  (void)user_data, (void)status, (void)receipt, (void)error;
  fail(__FILE__, __LINE__, "it was called");
}

#define PANICS(...) GIVES(EVS_STATUS_PANIC, __VA_ARGS__);

static void every_function_panics(void) {
  evs_test_panic(true);
  EVERY_CALL(PANICS)
  GIVES(EVS_STATUS_PANIC, evs_log_set, EVS_LOG_LEVEL_OFF, NULL, NULL, NULL);
  GIVES(EVS_STATUS_PANIC, evs_check_abi, EVS_ABI_VERSION);
  evs_error *error = NULL;
  CHECK(evs_config_new(NULL, &error) == EVS_STATUS_PANIC);
  CHECK(strcmp(evs_error_message(error), "evstream has a bug: this is an injected fault") == 0);
  evs_test_panic(false);
  evs_error_free(error);
}

static void objects_outlive_a_panic(void) {
  evs_hub *hub = new_hub();
  evs_channel *channel = NULL;
  evs_event event = EVS_EVENT_INIT;
  evs_str name = evs_str_z("a");
  evs_subscription *subscription = NULL, *called = NULL;
  OK(evs_hub_channel, hub, EVS_LITERAL("a"), &channel);
  OK(evs_hub_subscribe, hub, &name, 1, &subscription);
  counter freed = {0};
  evs_test_panic(true);
  GIVES(EVS_STATUS_PANIC, evs_hub_publish, hub, EVS_LITERAL("a"), &event, NULL);
  GIVES(EVS_STATUS_PANIC, evs_channel_publish_async, channel, &event, NULL, on_published, &freed, count_free);
  GIVES(EVS_STATUS_PANIC, evs_hub_subscribe_callback, hub, &name, 1, on_message, &freed, count_free, &called);
  GIVES(EVS_STATUS_PANIC, evs_log_set, EVS_LOG_LEVEL_INFO, NULL, &freed, count_free);
  CHECK(atomic_load(&freed.frees) == 6);
  CHECK(evs_channel_name(channel).len == 0 && evs_channel_streams(channel) == 0);
  evs_channel_free(channel); /* frees all the same */
  evs_test_panic(false);
  publish(hub, "a", "after all");
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_subscription_next, subscription, PATIENCE_MS, &message);
  CHECK_TEXT(message.data, "after all");
  evs_subscription_free(subscription);
  close_hub(hub);
}

int main(void) {
  RUN(every_function_panics);
  RUN(objects_outlive_a_panic);
  return 0;
}
