/*
 * A subject of the benchmark, as bench/README.md describes them: evstream's server, driven through the C library. It does call for
 * call what src/subjects/evstream.rs does, so the difference between the two is the price of the C ABI.
 */
#include <evstream.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_CHANNELS = 100000, MAX_LINE_BYTES = 4096, STAMP_BYTES = 38, MAX_NAME_BYTES = 64 };

typedef struct channel {
  char name[MAX_NAME_BYTES];
  size_t name_len;
  uint64_t published;
} channel;

static evs_hub *hub;
static channel channels[MAX_CHANNELS];
static size_t channels_len;
static char *data;

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

/* Ends the program if a call has failed. */
static void check(evs_status status, evs_error *error) {
  if (status != EVS_STATUS_OK) fail(evs_error_message(error));
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Names are looked up once for each command, so that the figures show only what evstream looks up itself. */
static channel *channel_of(const char *name) {
  for (size_t i = 0; i < channels_len; i++) {
    if (strcmp(channels[i].name, name) == 0) return &channels[i];
  }
  size_t len = strlen(name);
  if (channels_len == MAX_CHANNELS || len >= MAX_NAME_BYTES) fail("too many channels, or too long a name");
  channel *made = &channels[channels_len++];
  memcpy(made->name, name, len + 1);
  made->name_len = len;
  return made;
}

/* Publishes the next event of a channel, and gives back how long the call took. */
static uint64_t publish(channel *to, size_t bytes) {
  int stamp = snprintf(data, STAMP_BYTES + 1, "seq=%010" PRIu64 " ns=%019" PRIu64, to->published++, now_ns());
  size_t len = (size_t)stamp < bytes ? bytes : (size_t)stamp;
  if (len > (size_t)stamp) {
    data[stamp] = ' ';
    memset(data + stamp + 1, 'x', len - (size_t)stamp - 1);
  }
  evs_event event = EVS_EVENT_INIT;
  event.name.ptr = "message";
  event.name.len = 7;
  event.data.ptr = data;
  event.data.len = len;
  evs_error *error = NULL;
  uint64_t start = now_ns();
  evs_status status = evs_hub_publish(hub, to->name, to->name_len, &event, NULL, &error);
  uint64_t took = now_ns() - start;
  check(status, error);
  return took;
}

/* Waits until the event that is due next; one that is late is published at once, and those of one millisecond together. */
static void wait_for(uint64_t due_ns) {
  uint64_t now = now_ns();
  if (now >= due_ns) return;
  uint64_t early = due_ns - now < 1000000 ? 1000000 : due_ns - now;
  struct timespec pause = {.tv_sec = (time_t)(early / 1000000000), .tv_nsec = (long)(early % 1000000000)};
  nanosleep(&pause, NULL);
}

static uint64_t paced(channel *first, size_t len, double rate, double seconds, size_t bytes) {
  uint64_t count = (uint64_t)(rate * seconds + 0.5), start = now_ns(), random = UINT64_C(0x9e3779b97f4a7c15);
  for (uint64_t event = 0; event < count; event++) {
    wait_for(start + (uint64_t)((double)event / rate * 1e9));
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    publish(&first[len > 1 ? (random >> 32) % len : 0], bytes);
  }
  return count;
}

/* The channels ch-0 ... in a row. */
static channel *random_channels(size_t len) {
  channel *first = NULL;
  for (size_t i = 0; i < len; i++) {
    char name[MAX_NAME_BYTES];
    snprintf(name, sizeof name, "ch-%zu", i);
    /* The first command makes them all, so looking one up is quick, and then they are there. */
    channel *found = first != NULL && first + i < channels + channels_len && strcmp(first[i].name, name) == 0
                         ? first + i
                         : channel_of(name);
    if (first == NULL) first = found;
    if (found != first + i) fail("a channel of the row was used before");
  }
  return first;
}

static int compare(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

static uint64_t median_ns(channel *to, size_t count, size_t bytes) {
  uint64_t *times = (uint64_t *)calloc(count + 1, sizeof *times);
  if (times == NULL) fail("out of memory");
  for (size_t i = 0; i < count; i++) times[i] = publish(to, bytes);
  qsort(times, count, sizeof *times, compare);
  uint64_t median = times[count / 2];
  free(times);
  return median;
}

static size_t room_for(size_t bytes) {
  data = (char *)realloc(data, (bytes < STAMP_BYTES ? STAMP_BYTES : bytes) + 1);
  if (data == NULL) fail("out of memory");
  return bytes;
}

static void obey(const char *line) {
  char name[MAX_NAME_BYTES];
  size_t count, bytes;
  double rate, seconds;
  if (sscanf(line, "publish %63s %zu %zu", name, &count, &bytes) == 3) {
    channel *to = channel_of(name);
    room_for(bytes);
    for (size_t i = 0; i < count; i++) publish(to, bytes);
    printf("DONE events=%zu\n", count);
  } else if (sscanf(line, "pace %63s %lf %lf %zu", name, &rate, &seconds, &bytes) == 4) {
    printf("DONE events=%" PRIu64 "\n", paced(channel_of(name), 1, rate, seconds, room_for(bytes)));
  } else if (sscanf(line, "random %zu %lf %lf %zu", &count, &rate, &seconds, &bytes) == 4 && count > 0) {
    printf("DONE events=%" PRIu64 "\n", paced(random_channels(count), count, rate, seconds, room_for(bytes)));
  } else if (sscanf(line, "time-publish %63s %zu %zu", name, &count, &bytes) == 3) {
    printf("DONE events=%zu ns_per_call=%" PRIu64 "\n", count, median_ns(channel_of(name), count, room_for(bytes)));
  } else {
    fail("there are: publish, pace, random, time-publish, quit");
  }
  fflush(stdout);
}

int main(void) {
  evs_server *server = NULL;
  evs_error *error = NULL;
  check(evs_check_abi(EVS_ABI_VERSION, &error), error);
  check(evs_hub_new(NULL, &hub, &error), error);
  check(evs_server_new(hub, &server, &error), error);
  check(evs_server_mount(server, EVS_LITERAL("/events/"), &error), error);
  check(evs_server_listen(server, EVS_LITERAL("127.0.0.1:0"), &error), error);
  printf("READY %s /events/?channel={channel}\n", evs_server_address(server).ptr);
  fflush(stdout);
  char line[MAX_LINE_BYTES];
  while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "quit\n") != 0) obey(line);
  evs_hub_close(hub, 2000, NULL, NULL);
  evs_server_free(server);
  evs_hub_free(hub);
  free(data);
  return 0;
}
