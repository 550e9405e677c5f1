/* Settings: by name, checked, copied. */
#include "check.h"

static void settings_of_every_kind(void) {
  evs_config *config = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_integer, config, EVS_OPTION_HISTORY_EVENTS, 5);
  OK(evs_config_set_flag, config, EVS_OPTION_KEEP_ALIVE_COMMENT, true);
  OK(evs_config_set_text, config, EVS_OPTION_SLOW_CLIENT, EVS_LITERAL("close"));
  OK(evs_config_set_text, config, EVS_OPTION_KEEP_ALIVE_MS, EVS_LITERAL("15000"));
  evs_str origins[] = {evs_str_z("https://a.example"), evs_str_z("https://b.example")};
  OK(evs_config_set_list, config, EVS_OPTION_CORS_ORIGINS, origins, 2);
  OK(evs_config_set_list, config, EVS_OPTION_CORS_HEADERS, NULL, 0);
  OK(evs_config_set_text, config, EVS_OPTION_GRIP, EVS_LITERAL("http://localhost:5561?verify-key=a-long-secret-of-bytes"));
  evs_hub *hub = NULL;
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  close_hub(hub);
}

static void what_is_wrong_is_told(void) {
  evs_config *config = NULL;
  OK(evs_config_new, &config);
  evs_error *error = NULL;
  CHECK(evs_config_set_integer(config, EVS_OPTION_CHANNEL_LIMIT, 0, &error) == EVS_STATUS_INVALID_CONFIG);
  CHECK(strcmp(evs_error_message(error), "channel_limit takes a whole number from 1 to 1000, not 0") == 0);
  evs_error_free(error);
  CHECK(evs_config_set_text(config, EVS_LITERAL("historyEvents"), EVS_LITERAL("1"), &error) == EVS_STATUS_INVALID_CONFIG);
  CHECK(strstr(evs_error_message(error), "there is no setting 'historyEvents'; there are history_events, ") != NULL);
  evs_error_free(error);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_config_set_flag, config, EVS_OPTION_HISTORY_EVENTS, true);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_config_set_integer, config, EVS_OPTION_SLOW_CLIENT, 1);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_config_set_text, config, EVS_OPTION_SLOW_CLIENT, EVS_LITERAL("never"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_config_set_list, config, EVS_OPTION_SLOW_CLIENT, NULL, 0);
  evs_config_free(config);
}

static void secrets_are_not_told(void) {
  evs_config *config = NULL;
  evs_hub *hub = (evs_hub *)&hub;
  evs_error *error = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_text, config, EVS_OPTION_GRIP_LINK_SECRET, EVS_LITERAL("hush"));
  OK(evs_config_set_text, config, EVS_OPTION_GRIP, EVS_LITERAL("http://localhost:5561?key=another-secret-there"));
  CHECK(evs_hub_new(config, &hub, &error) == EVS_STATUS_INVALID_CONFIG); /* the link secret is too short */
  CHECK(hub == NULL);
  CHECK(strstr(evs_error_message(error), "hush") == NULL && strstr(evs_error_message(error), "another") == NULL);
  evs_error_free(error);
  CHECK(evs_config_set_integer(config, EVS_OPTION_GRIP_LINK_SECRET, 1, &error) == EVS_STATUS_INVALID_CONFIG);
  CHECK(strstr(evs_error_message(error), "hush") == NULL);
  evs_error_free(error);
  evs_config_free(config);
}

static uint64_t proxies_of(evs_config *config) {
  evs_hub *hub = NULL;
  evs_event event = EVS_EVENT_INIT;
  evs_receipt receipt = EVS_RECEIPT_INIT;
  OK(evs_hub_new, config, &hub);
  OK(evs_hub_publish, hub, EVS_LITERAL("a"), &event, &receipt);
  evs_hub_close(hub, 1, NULL, NULL);
  evs_hub_free(hub);
  return receipt.proxies;
}

static void proxies_from_the_environment(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  setenv("GRIP_URL", " ", 1);
  OK(evs_config_grip_from_env, config);
  CHECK(proxies_of(config) == 0);
  setenv("GRIP_URL", "http://127.0.0.1:1/", 1);
  setenv("GRIP_VERIFY_KEY", "a-long-secret-of-bytes", 1);
  OK(evs_config_grip_from_env, config);
  CHECK(proxies_of(config) == 1);
  setenv("GRIP_URL", "nowhere", 1);
  OK(evs_config_grip_from_env, config);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_hub_new, config, &hub);
  unsetenv("GRIP_URL");
  unsetenv("GRIP_VERIFY_KEY");
  evs_config_free(config);
}

int main(void) {
  RUN(proxies_from_the_environment);
  RUN(settings_of_every_kind);
  RUN(what_is_wrong_is_told);
  RUN(secrets_are_not_told);
  return 0;
}
