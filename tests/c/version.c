/* What the header says of itself and of the library. */
#include "check.h"

/* The layout that programs are compiled with: a change needs a new EVS_ABI_VERSION. */
_Static_assert(sizeof(void *) != 8 || (sizeof(evs_str) == 16 && sizeof(evs_bytes) == 16), "views");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_event) == 72, "evs_event");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_receipt) == 56, "evs_receipt");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_message) == 104, "evs_message");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_observer) == 32, "evs_observer");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_stats) == 248, "evs_stats");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_stream_info) == 112, "evs_stream_info");
_Static_assert(sizeof(void *) != 8 || sizeof(evs_publish_failure) == 72, "evs_publish_failure");

static void versions_agree(void) {
  CHECK(strcmp(evs_version(), EVS_VERSION) == 0);
  char numbers[64];
  snprintf(numbers, sizeof numbers, "%d.%d.%d", EVS_VERSION_MAJOR, EVS_VERSION_MINOR, EVS_VERSION_PATCH);
  CHECK(strcmp(numbers, EVS_VERSION) == 0);
  CHECK(evs_abi_version() == EVS_ABI_VERSION);
  OK(evs_check_abi, EVS_ABI_VERSION);
  GIVES(EVS_STATUS_ABI_MISMATCH, evs_check_abi, EVS_ABI_VERSION + 1);
  GIVES(EVS_STATUS_ABI_MISMATCH, evs_check_abi, 0);
}

static void statuses_have_names(void) {
  const struct {
    evs_status status;
    const char *name;
    bool is_retryable;
  } known[] = {
      {EVS_STATUS_OK, "ok", false},
      {EVS_STATUS_ENDED, "ended", false},
      {EVS_STATUS_PENDING, "pending", false},
      {EVS_STATUS_INVALID_CONFIG, "invalid-config", false},
      {EVS_STATUS_INVALID_CHANNEL, "invalid-channel", false},
      {EVS_STATUS_INVALID_EVENT, "invalid-event", false},
      {EVS_STATUS_TOO_LARGE, "too-large", false},
      {EVS_STATUS_INVALID_ARGUMENT, "invalid-argument", false},
      {EVS_STATUS_CLOSED, "closed", false},
      {EVS_STATUS_TIMEOUT, "timeout", true},
      {EVS_STATUS_QUEUE_FULL, "queue-full", true},
      {EVS_STATUS_FORKED, "forked", false},
      {EVS_STATUS_IO, "io", true},
      {EVS_STATUS_PROXY_UNAVAILABLE, "proxy-unavailable", true},
      {EVS_STATUS_PROXY_REJECTED, "proxy-rejected", false},
      {EVS_STATUS_UNAUTHORIZED, "unauthorized", false},
      {EVS_STATUS_JOURNAL_UNAVAILABLE, "journal-unavailable", true},
      {EVS_STATUS_JOURNAL_REJECTED, "journal-rejected", false},
      {EVS_STATUS_INTERNAL, "internal", false},
      {EVS_STATUS_PANIC, "panic", false},
      {EVS_STATUS_ABI_MISMATCH, "abi-mismatch", false},
      {EVS_STATUS_IN_CALLBACK, "in-callback", false},
      {(evs_status)77, "unknown", false},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    CHECK(strcmp(evs_status_name(known[i].status), known[i].name) == 0);
    CHECK(evs_status_is_retryable(known[i].status) == known[i].is_retryable);
  }
}

static size_t length_of(const char *text, size_t len) {
  return text != NULL ? len : 999;
}

static void macros_are_what_they_say(void) {
  CHECK(length_of(EVS_LITERAL("")) == 0);
  CHECK(length_of(EVS_LITERAL("a\0b")) == 3);
  CHECK(length_of(EVS_OPTION_KEEP_ALIVE_MS) == strlen("keep_alive_ms"));
  CHECK_TEXT(evs_str_z("abc"), "abc");
  CHECK(evs_str_z(NULL).len == 0);
  evs_event event = EVS_EVENT_INIT;
  evs_stats stats = EVS_STATS_INIT;
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_message message = EVS_MESSAGE_INIT;
  evs_observer observer = EVS_OBSERVER_INIT;
  CHECK(event.struct_size == sizeof event && event.data.len == 0 && event.retry_ms == 0 && !event.has_retry);
  CHECK(stats.struct_size == sizeof stats && stats.history_bytes == 0);
  CHECK(receipt.struct_size == sizeof receipt && receipt.position[0] == '\0');
  CHECK(message.struct_size == sizeof message && message.channels == NULL);
  CHECK(observer.struct_size == sizeof observer && observer.publish_failed == NULL);
  CHECK(EVS_FOREVER == UINT64_MAX);
}

int main(void) {
  RUN(versions_agree);
  RUN(statuses_have_names);
  RUN(macros_are_what_they_say);
  return 0;
}
