/* Arguments of the right type that make no sense: times without end, descriptors of all kinds, addresses, bytes that are no bool. */
#include "client.h"
#include <fcntl.h>
#include <sys/eventfd.h>

static void times_without_end(void) {
  const uint64_t times[] = {EVS_FOREVER, EVS_FOREVER - 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_C(1) << 53};
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    evs_hub *hub = new_hub();
    evs_server *server = NULL;
    evs_subscription *subscription = NULL;
    evs_reply *reply = NULL;
    evs_event event = EVS_EVENT_INIT;
    evs_message message = EVS_MESSAGE_INIT;
    evs_str name = evs_str_z("a");
    evs_bytes chunk;
    evs_request *request = new_request("GET", "/?channel=a");
    OK(evs_server_new, hub, &server);
    OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
    OK(evs_hub_subscribe, hub, &name, 1, &subscription);
    OK(evs_hub_open, hub, request, everything(), &reply);
    evs_reply_skip_body(reply);
    CHECK(evs_reply_next(reply, 0, &chunk, NULL) == EVS_STATUS_TIMEOUT); /* it is pulled from here on */
    event.retry_ms = times[i];
    event.has_retry = true;
    OK(evs_hub_publish_wait, hub, name.ptr, name.len, &event, times[i], NULL);
    OK(evs_subscription_next, subscription, times[i], &message);
    OK(evs_reply_next, reply, times[i], &chunk);
    OK(evs_server_close, server, times[i]);
    OK(evs_hub_close, hub, times[i], NULL);
    CHECK(evs_subscription_next(subscription, times[i], &message, NULL) == EVS_STATUS_ENDED);
    evs_reply_free(reply);
    evs_request_free(request);
    evs_subscription_free(subscription);
    evs_server_free(server);
    evs_hub_free(hub);
  }
}

/* A socket that listens, on which somebody can connect. */
static int listening(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in any = {.sin_family = AF_INET};
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, 1) == 0);
  return fd;
}

/* What is no connected stream socket is refused before anything happens to it or to the stream, which can still be pulled. */
static void descriptors_of_all_kinds(void) {
  evs_hub *hub = new_hub();
  int pipes[2], datagrams[2], packets[2], server = listening();
  CHECK(pipe(pipes) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
  int closed = fcntl(pipes[0], F_DUPFD, 500); /* a number that nothing else gets */
  close(closed);
  const struct {
    int fd;
    const char *why;
  } cases[] = {
      {-1, "negative"},
      {INT32_MIN, "negative"},
      {INT32_MAX, "cannot be duplicated"},
      {closed, "cannot be duplicated"},
      {open("/dev/null", O_RDWR), "no socket"},
      {open("/etc/passwd", O_RDONLY), "no socket"},
      {open("/", O_RDONLY), "no socket"},
      {pipes[0], "no socket"},
      {pipes[1], "no socket"},
      {eventfd(0, 0), "no socket"},
      {server, "a listening socket"},
      {socket(AF_INET, SOCK_STREAM, 0), "not connected"},
      {socket(AF_UNIX, SOCK_STREAM, 0), "not connected"},
      {socket(AF_INET, SOCK_DGRAM, 0), "messages"},
      {datagrams[0], "messages"},
      {packets[0], "messages"},
      {socket(AF_NETLINK, SOCK_RAW, 0), "messages"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    evs_request *request = new_request("GET", "/?channel=a");
    evs_reply *reply = NULL;
    evs_error *error = NULL;
    evs_bytes chunk;
    evs_str head;
    OK(evs_hub_open, hub, request, everything(), &reply);
    CHECK(evs_reply_adopt_fd(reply, cases[i].fd, EVS_FRAMING_CHUNKED, &error) == EVS_STATUS_INVALID_ARGUMENT);
    evs_str message = evs_str_z(evs_error_message(error));
    CHECK(strncmp(message.ptr, "fd ", 3) == 0 && contains(message, cases[i].why));
    evs_error_free(error);
    CHECK(evs_reply_has_stream(reply));
    OK(evs_reply_head, reply, EVS_FRAMING_CHUNKED, &head);
    CHECK(contains(head, "chunked"));
    publish(hub, "a", "it goes on");
    OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
    CHECK(contains(as_text(chunk), "stream-open"));
    OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
    CHECK(contains(as_text(chunk), "it goes on"));
    evs_reply_free(reply);
    evs_request_free(request);
  }
  struct sockaddr_in address;
  socklen_t address_len = sizeof address;
  CHECK(getsockname(server, (struct sockaddr *)&address, &address_len) == 0);
  int dialled = dial(ntohs(address.sin_port)), accepted = accept(server, NULL, NULL); /* it listens as before */
  CHECK(dialled >= 0 && accepted >= 0);
  close(dialled);
  close(accepted);
  for (size_t i = 4; i < sizeof cases / sizeof *cases; i++) close(cases[i].fd);
  close(datagrams[1]);
  close(packets[1]);
  close_hub(hub);
}

/* A client that has gone before its socket is adopted is nobody's mistake: the stream ends. */
static void clients_that_have_gone(void) {
  evs_hub *hub = new_hub();
  int server = listening(), unix_pair[2];
  struct sockaddr_in address;
  socklen_t address_len = sizeof address;
  CHECK(getsockname(server, (struct sockaddr *)&address, &address_len) == 0);
  int reset = dial(ntohs(address.sin_port)), accepted = accept(server, NULL, NULL);
  const struct linger at_once = {.l_onoff = 1};
  CHECK(setsockopt(reset, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
  close(reset);
  close(server);
  socket_pair(unix_pair);
  close(unix_pair[1]);
  const int fds[] = {accepted, unix_pair[0]};
  for (size_t i = 0; i < 2; i++) {
    evs_request *request = new_request("GET", "/?channel=a");
    evs_reply *reply = NULL;
    OK(evs_hub_open, hub, request, everything(), &reply);
    OK(evs_reply_adopt_fd, reply, fds[i], EVS_FRAMING_CHUNKED);
    close(fds[i]);
    evs_reply_free(reply);
    evs_request_free(request);
  }
  evs_stats stats = EVS_STATS_INIT;
  do OK(evs_hub_stats, hub, &stats);
  while (stats.closed_client < 2 && poll(NULL, 0, 1) == 0);
  close_hub(hub);
}

static void streams_are_adopted_once(void) {
  evs_hub *hub = new_hub();
  int fine[2];
  socket_pair(fine);
  evs_request *request = new_request("GET", "/?channel=a");
  evs_reply *reply = NULL;
  OK(evs_hub_open, hub, request, everything(), &reply);
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
  publish(hub, "a", "still here");
  EXPECT(reader, "still here");
  hang_up(reader);
  close_hub(hub);
}

static void addresses_and_paths(void) {
  static const char *const addresses[] = {"", ":", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "[::1:0", "unix:",
                                          "unix:/does/not/exist/socket", "host.invalid:80", "999.999.999.999:1", "\n", "127.0.0.1:0 "};
  evs_hub *hub = new_hub();
  for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
    evs_server *server = NULL;
    evs_error *error = NULL;
    OK(evs_server_new, hub, &server);
    evs_status status = evs_server_listen(server, addresses[i], strlen(addresses[i]), &error);
    CHECK(status == EVS_STATUS_INVALID_ARGUMENT || status == EVS_STATUS_IO);
    CHECK(strlen(evs_error_message(error)) > 10);
    CHECK(evs_server_port(server) == 0 && evs_server_address(server).len == 0);
    evs_error_free(error);
    evs_server_free(server);
  }
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
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
    OK(evs_server_new, hub, &server);
    evs_status status = evs_server_mount(server, mounts[i], strlen(mounts[i]), NULL);
    CHECK(status == EVS_STATUS_OK || status == EVS_STATUS_INVALID_ARGUMENT);
    evs_error *error = NULL;
    status = evs_server_listen(server, EVS_LITERAL("127.0.0.1:0"), &error);
    if (status != EVS_STATUS_OK) CHECK(status == EVS_STATUS_INVALID_CONFIG && strlen(evs_error_message(error)) > 10);
    evs_error_free(error);
    evs_server_free(server);
  }
  close_hub(hub);
}

/* What lies in memory that was not set, or was set by memset. */
static void bytes_that_are_no_bool(void) {
  evs_hub *hub = new_hub();
  evs_str name = evs_str_z("a");
  evs_reply *reply = NULL;
  evs_bytes chunk;
  evs_request *request = new_request("GET", "/?channel=a");
  OK(evs_hub_open, hub, request, everything(), &reply);
  evs_request_free(request);
  OK(evs_reply_next, reply, 0, &chunk);
  for (int byte = 0; byte < 256; byte++) {
    evs_event event = EVS_EVENT_INIT;
    event.retry_ms = 7;
    memset(&event.has_retry, byte, sizeof event.has_retry);
    OK(evs_hub_publish, hub, name.ptr, name.len, &event, NULL);
    OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
    CHECK(contains(as_text(chunk), "retry:") == (byte != 0));
  }
  evs_reply_free(reply);
  close_hub(hub);
}

/* What an attacker would put into a request or an answer. */
static void requests_that_smuggle(void) {
  evs_hub *hub = new_hub();
  static const char *const methods[] = {"", "GE T", "GET\r\n", "\x01"};
  static const char *const targets[] = {"", " ", "/\r\nX: y", "//", "http://", "*", "/?channel=%", "/?channel=%ff", "/?channel=a%00b"};
  evs_request *request = NULL;
  evs_reply *reply = NULL;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    OK(evs_request_new, methods[i], strlen(methods[i]), EVS_LITERAL("/?channel=a"), &request);
    OK(evs_hub_open, hub, request, everything(), &reply);
    CHECK(evs_reply_status(reply) == 405 && !evs_reply_has_stream(reply));
    evs_reply_free(reply);
    evs_request_free(request);
  }
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    if (evs_request_new("GET", 3, targets[i], strlen(targets[i]), &request, NULL) != EVS_STATUS_OK) continue;
    OK(evs_hub_open, hub, request, everything(), &reply);
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
  OK(evs_hub_open, hub, request, access, &reply);
  CHECK(!contains(as_text(evs_reply_body(reply)), "\nevent: stream-open"));
  evs_reply_free(reply);
  evs_access_free(access);
  evs_request_free(request);
  close_hub(hub);
}

int main(void) {
  RUN(times_without_end);
  RUN(descriptors_of_all_kinds);
  RUN(clients_that_have_gone);
  RUN(streams_are_adopted_once);
  RUN(addresses_and_paths);
  RUN(bytes_that_are_no_bool);
  RUN(requests_that_smuggle);
  return 0;
}
