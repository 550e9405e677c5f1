/* What a program publishes to a journal right before it ends: by returning from main, by exit, and by _exit. */
#include "client.h"
#include <sys/wait.h>

enum { EVENTS = 1000 };

static char journal[128], program[512];
static evs_hub *last; /* so that a leak checker finds it, where it is left to the end */

static evs_hub *hub_with_journal(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_text, config, EVS_OPTION_JOURNAL_NAME, strlen(EVS_OPTION_JOURNAL_NAME), journal, strlen(journal));
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  return hub;
}

static void publish_all(evs_hub *hub) {
  char number[16];
  for (int i = 0; i < EVENTS; i++) {
    snprintf(number, sizeof number, "%d", i);
    publish(hub, "a", number);
  }
}

/* The other program: this one, told how to end. */
static int publish_and_end(const char *how) {
  last = hub_with_journal();
  publish_all(last);
  if (strcmp(how, "free") == 0) evs_hub_free(last);
  if (strcmp(how, "exit") == 0) exit(3);
  if (strcmp(how, "_exit") == 0) _exit(4);
  return 5;
}

static int end_of(const char *how) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    execl(program, program, how, journal, (char *)NULL);
    _exit(127);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void make_journal(void) {
  snprintf(journal, sizeof journal, "file:/tmp/evstream-ending-%d-%lld", (int)getpid(), (long long)now_ms());
}

static void remove_journal(void) {
  CHECK(unlink(journal + strlen("file:")) == 0);
}

/* Publishes with a reader in place, so that all that comes later is live. */
static evs_subscription *reader_of(evs_hub *hub) {
  evs_str name = evs_str_z("a");
  evs_subscription *reader = NULL;
  evs_stats stats = EVS_STATS_INIT;
  OK(evs_hub_subscribe, hub, &name, 1, &reader);
  do {
    OK(evs_hub_stats, hub, &stats);
    poll(NULL, 0, 1);
  } while (!stats.journal_connected);
  return reader;
}

static void sees(evs_subscription *reader, const char *text) {
  evs_message message = EVS_MESSAGE_INIT;
  OK(evs_subscription_next, reader, PATIENCE_MS, &message);
  CHECK(message.kind == EVS_MESSAGE_KIND_EVENT);
  CHECK_TEXT(message.data, text);
}

static void ends(const char *how, int status) {
  make_journal();
  evs_hub *hub = hub_with_journal();
  evs_subscription *reader = reader_of(hub);
  char number[16];
  CHECK(end_of(how) == status);
  for (int i = 0; i < EVENTS; i++) {
    snprintf(number, sizeof number, "%d", i);
    sees(reader, number);
  }
  publish(hub, "a", "and that was all");
  sees(reader, "and that was all");
  evs_subscription_free(reader);
  close_hub(hub);
  remove_journal();
}

static void returning_from_main_loses_nothing(void) {
  ends("return", 5);
}

static void exiting_loses_nothing(void) {
  ends("exit", 3);
}

static void freeing_the_hub_before_loses_nothing(void) {
  ends("free", 5);
}

/* It asks for nothing to be done any more. How many events are there by then is chance, but they are the first ones. */
static void exiting_at_once_may_lose_the_last_and_damages_nothing(void) {
  make_journal();
  evs_hub *hub = hub_with_journal();
  evs_subscription *reader = reader_of(hub);
  char before[EVS_POSITION_BYTES], after[EVS_POSITION_BYTES];
  OK(evs_hub_position, hub, &before);
  for (int round = 0; round < 10; round++) {
    CHECK(end_of("_exit") == 4);
    publish(hub, "a", "after it");
    evs_message message = EVS_MESSAGE_INIT;
    for (int next = 0;; next++) {
      char number[16];
      snprintf(number, sizeof number, "%d", next);
      OK(evs_subscription_next, reader, PATIENCE_MS, &message);
      CHECK(message.kind == EVS_MESSAGE_KIND_EVENT);
      if (contains(message.data, "after it")) break;
      CHECK_TEXT(message.data, number);
    }
  }
  OK(evs_hub_position, hub, &after);
  CHECK(memcmp(before, after, 8) == 0); /* the same epoch */
  evs_subscription_free(reader);
  close_hub(hub);
  remove_journal();
}

int main(int count, char **arguments) {
  if (count == 3) {
    snprintf(journal, sizeof journal, "%s", arguments[2]);
    return publish_and_end(arguments[1]);
  }
  CHECK(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
  RUN(returning_from_main_loses_nothing);
  RUN(exiting_loses_nothing);
  RUN(freeing_the_hub_before_loses_nothing);
  RUN(exiting_at_once_may_lose_the_last_and_damages_nothing);
  return 0;
}
