/* What the tests share: checks that say where they failed, and a clock that ends a test that hangs. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <evstream.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Longer than anything takes, also under valgrind on a busy machine. */
enum { PATIENCE_MS = 60000 };

#define CHECK(condition)                                                                                 \
  do {                                                                                                   \
    if (!(condition)) fail(__FILE__, __LINE__, "not so: " #condition);                                   \
  } while (0)

#define CHECK_TEXT(text, expected) check_text(__FILE__, __LINE__, text, expected)

/* Calls a function whose last parameter is an error, and checks that it succeeds. */
#define OK(function, ...)                                                                                \
  do {                                                                                                   \
    evs_error *error_ = (evs_error *)&error_;                                                            \
    evs_status status_ = function(__VA_ARGS__, &error_);                                                 \
    check_status(__FILE__, __LINE__, #function, EVS_STATUS_OK, status_, error_);                         \
  } while (0)

/* The same with a status that is not OK; also without asking for the error. */
#define GIVES(expected, function, ...)                                                                   \
  do {                                                                                                   \
    evs_error *error_ = (evs_error *)&error_;                                                            \
    evs_status status_ = function(__VA_ARGS__, &error_);                                                 \
    check_status(__FILE__, __LINE__, #function, expected, status_, error_);                              \
    CHECK(function(__VA_ARGS__, NULL) == (expected));                                                    \
  } while (0)

/* The same with a status that is no failure. */
#define OK_GIVES(expected, function, ...)                                                                \
  do {                                                                                                   \
    evs_error *error_ = (evs_error *)&error_;                                                            \
    evs_status status_ = function(__VA_ARGS__, &error_);                                                 \
    if (status_ != (expected) || error_ != NULL) fail(__FILE__, __LINE__, #function ": not " #expected); \
  } while (0)

#define RUN(test)                                                                                        \
  do {                                                                                                   \
    printf("%s\n", #test);                                                                               \
    fflush(stdout);                                                                                      \
    alarm(4 * PATIENCE_MS / 1000);                                                                       \
    int threads_ = threads_at_rest();                                                                    \
    test();                                                                                              \
    AWAIT(threads() == threads_); /* whatever it did, no thread of evstream's is left */                  \
  } while (0)

static inline void fail(const char *file, int line, const char *text) {
  fprintf(stderr, "%s:%d: %s\n", file, line, text);
  abort();
}

static inline void check_status(const char *file, int line, const char *function, evs_status expected, evs_status status,
                                evs_error *error) {
  int is_error = status >= 100;
  if (status != expected || (error != NULL) != is_error) {
    fprintf(stderr, "%s:%d: %s gives %s (%s), not %s\n", file, line, function, evs_status_name(status),
            is_error ? evs_error_message(error) : "", evs_status_name(expected));
    abort();
  }
  if (is_error && (evs_error_status(error) != status || strlen(evs_error_message(error)) < 5)) {
    fail(file, line, "the error does not say what was wrong");
  }
  evs_error_free(error);
}

static inline void check_text(const char *file, int line, evs_str text, const char *expected) {
  if (text.len != strlen(expected) || memcmp(text.ptr, expected, text.len) != 0) {
    fprintf(stderr, "%s:%d: \"%.*s\" is not \"%s\"\n", file, line, (int)text.len, text.ptr, expected);
    abort();
  }
}

static inline evs_str as_text(evs_bytes bytes) {
  evs_str text = {(const char *)bytes.ptr, bytes.len};
  return text;
}

static inline int contains(evs_str text, const char *part) {
  return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* The threads of this process. */
static inline int threads(void) {
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) count += task->d_name[0] != '.';
  closedir(tasks);
  return count;
}

static inline int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until a condition holds that others bring about. */
#define AWAIT(condition)                                                                                 \
  do {                                                                                                   \
    int64_t deadline_ = now_ms() + PATIENCE_MS;                                                          \
    while (!(condition)) {                                                                               \
      if (now_ms() > deadline_) fail(__FILE__, __LINE__, "waited in vain for: " #condition);             \
      poll(NULL, 0, 1);                                                                                  \
    }                                                                                                    \
  } while (0)

static inline void *tell_number(void *number) {
  *(pid_t *)number = gettid();
  return NULL;
}

/* Their number before a test. A sanitizer starts one of its own with the first that is started; and one that was joined is
 * seen for a moment. */
static inline int threads_at_rest(void) {
  pthread_t thread;
  pid_t number = 0;
  char task[64];
  CHECK(pthread_create(&thread, NULL, tell_number, &number) == 0 && pthread_join(thread, NULL) == 0);
  snprintf(task, sizeof task, "/proc/self/task/%d", (int)number);
  AWAIT(access(task, F_OK) != 0);
  return threads();
}

/* User data that counts what is done with it. */
typedef struct counter {
  atomic_int calls;
  atomic_int frees;
} counter;

static inline void count_free(void *user_data) {
  counter *counted = (counter *)user_data;
  atomic_fetch_add(&counted->frees, 1);
}

/* Events with these settings changed, as name, number, NULL. */
static inline evs_hub *hub_with(const char *option, uint64_t value) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  if (option != NULL) OK(evs_config_set_integer, config, option, strlen(option), value);
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  return hub;
}

static inline evs_hub *new_hub(void) {
  return hub_with(NULL, 0);
}

static inline void close_hub(evs_hub *hub) {
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  evs_hub_free(hub);
}

static inline void publish(evs_hub *hub, const char *channel, const char *data) {
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z(data);
  OK(evs_hub_publish, hub, channel, strlen(channel), &event, NULL);
}

static inline evs_request *new_request(const char *method, const char *target) {
  evs_request *request = NULL;
  OK(evs_request_new, method, strlen(method), target, strlen(target), &request);
  return request;
}

static evs_access *everything_;

static inline void make_everything(void) {
  OK(evs_access_new, &everything_);
  OK(evs_access_allow, everything_);
}

/* Whatever the client names. One for all requests, on all threads. */
static inline const evs_access *everything(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_everything);
  return everything_;
}

#endif
