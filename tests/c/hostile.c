/* Arguments of the right type that make no sense: times without end, descriptors of all kinds, addresses, bytes that are no bool. */
#include "client.h"
#include <fcntl.h>

static void times_without_end(void) {
  const uint64_t times[] = {EVS_FOREVER, EVS_FOREVER - 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_C(1) << 53};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    evs_events *events = new_events();
    evs_server *server = NULL;
    evs_subscription *subscription = NULL;
    evs_reply *reply = NULL;
    evs_event event = EVS_EVENT_INIT;
    evs_message message = EVS_MESSAGE_INIT;
    evs_str name = evs_str_z("a");
    evs_bytes chunk;
    evs_request *request = new_request("GET", "/?channel=a");
    OK(evs_server_new, events, &server);
    OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
    OK(evs_events_subscribe, events, &name, 1, &subscription);
    OK(evs_events_open, events, request, NULL, &reply);
    evs_reply_skip_body(reply);
    CHECK(evs_reply_next(reply, 0, &chunk, NULL) == EVS_STATUS_TIMEOUT); /* it is pulled from here on */
    event.retry_ms = times[i];
    event.has_retry = true;
    OK(evs_events_publish_wait, events, name.ptr, name.len, &event, times[i], NULL);
    OK(evs_subscription_next, subscription, times[i], &message);
    OK(evs_reply_next, reply, times[i], &chunk);
    OK(evs_server_close, server, times[i]);
    OK(evs_events_close, events, times[i], NULL);
    CHECK(evs_subscription_next(subscription, times[i], &message, NULL) == EVS_STATUS_ENDED);
    evs_reply_free(reply);
    evs_request_free(request);
    evs_subscription_free(subscription);
    evs_server_free(server);
    evs_events_free(events);
  }
}

/* Each is refused, or taken and found to be closed; the stream ends either way, and others go on. */
static void descriptors_of_all_kinds(void) {
  evs_events *events = new_events();
  int pipes[2], listening = socket(AF_INET, SOCK_STREAM, 0), sockets[2];
  CHECK(pipe(pipes) == 0 && listen(listening, 1) == 0);
  socket_pair(sockets);
  int closed = fcntl(pipes[0], F_DUPFD, 500); /* a number that nothing else gets */
  close(closed);
  close(sockets[1]); /* nobody is there */
  const int fds[] = {-1, INT32_MAX, INT32_MIN, closed, open("/dev/null", O_RDWR), open("/etc/passwd", O_RDONLY), open("/", O_RDONLY),
                     pipes[0], pipes[1], listening, socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0), sockets[0]};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
    evs_request *request = new_request("GET", "/?channel=a");
    evs_reply *reply = NULL;
    evs_error *error = NULL;
    OK(evs_events_open, events, request, NULL, &reply);
    evs_status status = evs_reply_adopt_fd(reply, fds[i], EVS_FRAMING_CHUNKED, &error);
    CHECK(status == EVS_STATUS_OK || status == EVS_STATUS_IO || (fds[i] < 0 && status == EVS_STATUS_INVALID_ARGUMENT));
    CHECK((status == EVS_STATUS_OK) == (error == NULL));
    publish(events, "a", "x");
    evs_error_free(error);
    evs_reply_free(reply);
    evs_request_free(request);
    if (i >= 4) close(fds[i]);
  }
  int fine[2];
  socket_pair(fine);
  evs_request *request = new_request("GET", "/?channel=a");
  evs_reply *reply = NULL;
  OK(evs_events_open, events, request, NULL, &reply);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, fine[0], 0);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, fine[0], UINT32_MAX);
  OK(evs_reply_adopt_fd, reply, fine[0], EVS_FRAMING_CHUNKED);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, fine[0], EVS_FRAMING_CHUNKED);
  evs_bytes chunk;
  evs_reply_next(reply, 0, &chunk, NULL); /* it was given away: whatever it says, it does no harm */
  evs_reply_skip_body(reply);
  evs_reply_free(reply);
  evs_request_free(request);
  close(fine[0]);
  client *reader = client_on(fine[1]);
  publish(events, "a", "still here");
  EXPECT(reader, "still here");
  hang_up(reader);
  close_events(events);
}

static void addresses_and_paths(void) {
  static const char *const addresses[] = {"", ":", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "[::1:0", "unix:",
                                          "unix:/does/not/exist/socket", "host.invalid:80", "999.999.999.999:1", "\n", "127.0.0.1:0 "};
  evs_events *events = new_events();
  for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
    evs_server *server = NULL;
    evs_error *error = NULL;
    OK(evs_server_new, events, &server);
    evs_status status = evs_server_listen(server, addresses[i], strlen(addresses[i]), &error);
    CHECK(status == EVS_STATUS_INVALID_ARGUMENT || status == EVS_STATUS_IO);
    CHECK(strlen(evs_error_message(error)) > 10);
    CHECK(evs_server_port(server) == 0 && evs_server_address(server).len == 0);
    evs_error_free(error);
    evs_server_free(server);
  }
  evs_server *server = NULL;
  OK(evs_server_new, events, &server);
  GIVES(EVS_STATUS_IO, evs_server_listen, server, "unix:/tmp/a\0b", 13); /* no file can be called so */
  char path[4096];
  memset(path, 'x', sizeof path);
  memcpy(path, "unix:/tmp/", 10);
  CHECK(evs_server_listen(server, path, sizeof path, NULL) >= EVS_STATUS_INVALID_CONFIG);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  evs_server_free(server);
  static const char *const mounts[] = {"", "events", "/a b", "/{x", "/\xc3\xa4", "/?a=b", "/#a", "*"};
  for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++) {
    OK(evs_server_new, events, &server);
    evs_status status = evs_server_mount(server, mounts[i], strlen(mounts[i]), NULL);
    CHECK(status == EVS_STATUS_OK || status == EVS_STATUS_INVALID_ARGUMENT);
    evs_error *error = NULL;
    status = evs_server_listen(server, EVS_LITERAL("127.0.0.1:0"), &error);
    if (status != EVS_STATUS_OK) CHECK(status == EVS_STATUS_INVALID_CONFIG && strlen(evs_error_message(error)) > 10);
    evs_error_free(error);
    evs_server_free(server);
  }
  close_events(events);
}

/* What lies in memory that was not set, or was set by memset. */
static void bytes_that_are_no_bool(void) {
  evs_events *events = new_events();
  evs_str name = evs_str_z("a");
  evs_reply *reply = NULL;
  evs_bytes chunk;
  evs_request *request = new_request("GET", "/?channel=a");
  OK(evs_events_open, events, request, NULL, &reply);
  evs_request_free(request);
  OK(evs_reply_next, reply, 0, &chunk);
  for (int byte = 0; byte < 256; byte++) {
    evs_event event = EVS_EVENT_INIT;
    event.retry_ms = 7;
    memset(&event.has_retry, byte, sizeof event.has_retry);
    OK(evs_events_publish, events, name.ptr, name.len, &event, NULL);
    OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
    CHECK(contains(as_text(chunk), "retry:") == (byte != 0));
  }
  evs_reply_free(reply);
  close_events(events);
}

/* What an attacker would put into a request or an answer. */
static void requests_that_smuggle(void) {
  evs_events *events = new_events();
  static const char *const methods[] = {"", "GE T", "GET\r\n", "\x01"};
  static const char *const targets[] = {"", " ", "/\r\nX: y", "//", "http://", "*", "/?channel=%", "/?channel=%ff", "/?channel=a%00b"};
  evs_request *request = NULL;
  evs_reply *reply = NULL;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    OK(evs_request_new, methods[i], strlen(methods[i]), EVS_LITERAL("/?channel=a"), &request);
    OK(evs_events_open, events, request, NULL, &reply);
    CHECK(evs_reply_status(reply) == 405 && !evs_reply_has_stream(reply));
    evs_reply_free(reply);
    evs_request_free(request);
  }
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    if (evs_request_new("GET", 3, targets[i], strlen(targets[i]), &request, NULL) != EVS_STATUS_OK) continue;
    OK(evs_events_open, events, request, NULL, &reply);
    evs_str head;
    OK(evs_reply_head, reply, EVS_FRAMING_CHUNKED, &head);
    CHECK(!contains(head, "X: y"));
    evs_reply_free(reply);
    evs_request_free(request);
  }
  request = new_request("GET", "/?channel=a");
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_request_add_header, request, EVS_LITERAL("Origin"), EVS_LITERAL("x\r\nSet-Cookie: y"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_request_add_header, request, EVS_LITERAL("Origin"), "a\0b", 3);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_request_add_header, request, EVS_LITERAL("a\nb"), EVS_LITERAL("c"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_request_set_peer, request, EVS_LITERAL("localhost"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_request_set_peer, request, EVS_LITERAL("1.2.3.4:5"));
  evs_access *access = NULL;
  OK(evs_access_new, &access);
  OK(evs_access_forbid, access, EVS_LITERAL("a\r\n\r\nevent: stream-open\r\n\r\n"));
  OK(evs_events_open, events, request, access, &reply);
  CHECK(!contains(as_text(evs_reply_body(reply)), "\nevent: stream-open"));
  evs_reply_free(reply);
  evs_access_free(access);
  evs_request_free(request);
  close_events(events);
}

int main(void) {
  RUN(times_without_end);
  RUN(descriptors_of_all_kinds);
  RUN(addresses_and_paths);
  RUN(bytes_that_are_no_bool);
  RUN(requests_that_smuggle);
  return 0;
}
