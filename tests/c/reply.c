/* Mounting in a server of one's own: a request, a reply, and the two ways to send it. */
#include "client.h"
#include <netinet/tcp.h>

static evs_reply *open_stream(evs_hub *hub, const char *target) {
  evs_request *request = new_request("GET", target);
  evs_reply *reply = NULL;
  OK(evs_hub_open, hub, request, everything(), &reply);
  evs_request_free(request);
  return reply;
}

static evs_bytes next(evs_reply *reply) {
  evs_bytes chunk;
  OK(evs_reply_next, reply, PATIENCE_MS, &chunk);
  CHECK(chunk.len > 0);
  return chunk;
}

static void requests_are_what_was_given(void) {
  evs_request *request = new_request("POST", "/a%20b?x=1?y");
  OK(evs_request_add_header, request, EVS_LITERAL("Accept"), EVS_LITERAL("text/html"));
  OK(evs_request_add_header, request, EVS_LITERAL("X-Raw"), EVS_LITERAL("\xff\tz"));
  OK(evs_request_set_peer, request, EVS_LITERAL("::ffff:192.0.2.7"));
  CHECK_TEXT(evs_request_method(request), "POST");
  CHECK_TEXT(evs_request_path(request), "/a%20b");
  CHECK_TEXT(evs_request_query(request), "x=1?y");
  CHECK_TEXT(evs_request_peer(request), "192.0.2.7");
  CHECK(evs_request_header_count(request) == 2 && evs_request_body(request).len == 0);
  evs_str name, value;
  CHECK(evs_request_header_at(request, 1, &name, &value));
  CHECK_TEXT(name, "X-Raw");
  CHECK_TEXT(value, "\xff\tz");
  CHECK(evs_request_header_at(request, 0, NULL, NULL));
  CHECK(!evs_request_header_at(request, 2, &name, &value) && name.len == 0 && value.len == 0);
  CHECK(evs_request_header(request, EVS_LITERAL("ACCEPT"), &value));
  CHECK_TEXT(value, "text/html");
  CHECK(!evs_request_header(request, EVS_LITERAL("Accep"), NULL));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_request_set_peer, request, EVS_LITERAL("192.0.2.7:80"));
  evs_request_free(request);
}

static void replies_say_how_to_begin(void) {
  evs_hub *hub = new_hub();
  evs_reply *reply = open_stream(hub, "/events/?channel=a");
  CHECK(evs_reply_status(reply) == 200 && evs_reply_has_stream(reply));
  evs_str name, value;
  CHECK(evs_reply_header_at(reply, 0, &name, &value));
  CHECK_TEXT(name, "Content-Type");
  CHECK_TEXT(value, "text/event-stream");
  CHECK(strcmp(name.ptr, "Content-Type") == 0 && strcmp(value.ptr, "text/event-stream") == 0);
  CHECK(evs_reply_header_at(reply, evs_reply_header_count(reply) - 1, NULL, NULL));
  CHECK(!evs_reply_header_at(reply, evs_reply_header_count(reply), &name, &value) && name.len == 0);
  CHECK(contains(as_text(evs_reply_body(reply)), "stream-open"));
  evs_str head;
  OK(evs_reply_head, reply, EVS_FRAMING_CHUNKED, &head);
  CHECK(strncmp(head.ptr, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", 50) == 0);
  CHECK(contains(head, "\r\nTransfer-Encoding: chunked\r\n\r\n"));
  OK(evs_reply_head, reply, EVS_FRAMING_CLOSE, &head);
  CHECK(contains(head, "\r\nConnection: close\r\n\r\n"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_head, reply, 3, &head);
  evs_reply_free(reply);
  close_hub(hub);
}

static void refusals_are_replies_too(void) {
  evs_hub *hub = new_hub();
  const struct {
    const char *method, *target, *header, *value, *part;
    uint32_t status;
  } cases[] = {
      {"GET", "/", "Accept", "*/*", "\"condition\":\"bad-request\"", 200},
      {"GET", "/?channel=a", "Accept", "text/html", "Accept", 406},
      {"GET", "/?channel=a", "Last-Event-ID", "error", "do not come back", 400},
      {"POST", "/?channel=a", "Accept", "*/*", "GET", 405},
      {"OPTIONS", "/?channel=a", "Accept", "*/*", "", 204},
      {"HEAD", "/?channel=a", "Accept", "*/*", "", 200},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    evs_request *request = new_request(cases[i].method, cases[i].target);
    OK(evs_request_add_header, request, cases[i].header, strlen(cases[i].header), cases[i].value, strlen(cases[i].value));
    evs_reply *reply = NULL;
    OK(evs_hub_open, hub, request, everything(), &reply);
    CHECK(evs_reply_status(reply) == cases[i].status && !evs_reply_has_stream(reply));
    evs_bytes chunk;
    evs_str head;
    OK(evs_reply_head, reply, EVS_FRAMING_CHUNKED, &head);
    CHECK(contains(head, "Content-Length: ") == (cases[i].status != 204) && !contains(head, "chunked"));
    GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, 0, EVS_FRAMING_CHUNKED);
    if (cases[i].part[0] != '\0') CHECK(contains(as_text(next(reply)), cases[i].part));
    GIVES(EVS_STATUS_ENDED, evs_reply_next, reply, PATIENCE_MS, &chunk);
    CHECK(chunk.len == 0);
    evs_reply_free(reply);
    evs_request_free(request);
  }
  close_hub(hub);
}

static void what_needs_no_word_of_the_application(void) {
  evs_hub *hub = new_hub();
  evs_request *good = new_request("GET", "/?channel=a&channel=%C3%BC&channel=a"), *bad = new_request("DELETE", "/");
  evs_reply *reply = (evs_reply *)&reply;
  size_t len = 1;
  CHECK(evs_request_channels(good, &len) == NULL && len == 0);
  OK(evs_hub_screen, hub, good, &reply);
  CHECK(reply == NULL);
  const evs_str *channels = evs_request_channels(good, &len);
  CHECK(len == 2 && !evs_request_is_held(good));
  CHECK_TEXT(channels[0], "a");
  CHECK_TEXT(channels[1], "\xc3\xbc");
  OK(evs_hub_open, hub, good, everything(), &reply);
  CHECK(contains(as_text(evs_reply_body(reply)), "{\"channels\":[\"a\",\"\xc3\xbc\"]}"));
  evs_reply_free(reply);
  evs_hub *other = new_hub(); /* which has to screen it again */
  OK(evs_hub_open, other, good, everything(), &reply);
  CHECK(evs_reply_has_stream(reply));
  evs_reply_free(reply);
  close_hub(other);
  OK(evs_request_add_header, good, EVS_LITERAL("Accept"), EVS_LITERAL("text/html"));
  CHECK(evs_request_channels(good, &len) == NULL && len == 0);
  OK(evs_hub_open, hub, good, everything(), &reply);
  CHECK(evs_reply_status(reply) == 406);
  evs_reply_free(reply);
  OK(evs_hub_screen, hub, bad, &reply);
  CHECK(evs_reply_status(reply) == 405);
  evs_reply_free(reply);
  evs_request_free(good);
  evs_request_free(bad);
  close_hub(hub);
}

static void access_decides(void) {
  evs_hub *hub = new_hub();
  evs_request *request = new_request("GET", "/?channel=wished");
  evs_access *access = NULL;
  evs_reply *reply = NULL;
  OK(evs_access_new, &access);
  OK(evs_hub_open, hub, request, access, &reply); /* it starts with no */
  CHECK(contains(as_text(evs_reply_body(reply)), "\"condition\":\"forbidden\""));
  evs_reply_free(reply);
  evs_str channels[] = {evs_str_z("mine"), evs_str_z("bad\nname")};
  OK(evs_access_set_channels, access, channels, 1);
  OK(evs_hub_open, hub, request, access, &reply);
  CHECK(contains(as_text(evs_reply_body(reply)), "{\"channels\":[\"mine\"]}"));
  evs_reply_free(reply);
  OK(evs_access_set_channels, access, channels, 2);
  OK(evs_hub_open, hub, request, access, &reply);
  CHECK(contains(as_text(evs_reply_body(reply)), "\"condition\":\"bad-request\""));
  evs_reply_free(reply);
  evs_access_free(access);
  evs_request_free(request);
  close_hub(hub);
}

static void pulling(void) {
  evs_hub *hub = new_hub();
  evs_reply *reply = open_stream(hub, "/events/?channel=a");
  publish(hub, "a", "1");
  CHECK(contains(as_text(next(reply)), "event: stream-open"));
  CHECK(contains(as_text(next(reply)), "data: 1\n"));
  evs_bytes chunk;
  OK_GIVES(EVS_STATUS_TIMEOUT, evs_reply_next, reply, 0, &chunk);
  OK_GIVES(EVS_STATUS_TIMEOUT, evs_reply_next, reply, 1, &chunk);
  CHECK(chunk.len == 0);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, 0, EVS_FRAMING_CHUNKED); /* it is pulled */
  publish(hub, "a", "2");
  publish(hub, "a", "3");
  evs_str both = as_text(next(reply));
  CHECK(contains(both, "data: 2\n") && contains(both, "data: 3\n"));
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  CHECK(contains(as_text(next(reply)), "retry: "));
  GIVES(EVS_STATUS_ENDED, evs_reply_next, reply, PATIENCE_MS, &chunk);
  evs_reply_free(reply);
  evs_hub_free(hub);
}

static void first_bytes_may_be_sent_by_others(void) {
  evs_hub *hub = new_hub();
  evs_reply *reply = open_stream(hub, "/events/?channel=a");
  publish(hub, "a", "1");
  evs_reply_skip_body(reply);
  CHECK(contains(as_text(next(reply)), "data: 1\n"));
  evs_reply_free(reply);
  close_hub(hub);
}

static void on_ready(void *user_data) {
  atomic_fetch_add(&((counter *)user_data)->calls, 1);
}

static void polling(void) {
  evs_hub *hub = new_hub();
  evs_reply *reply = open_stream(hub, "/events/?channel=a");
  counter first = {0}, second = {0}, third = {0};
  evs_bytes chunk;
  OK(evs_reply_poll, reply, &chunk, on_ready, &first, count_free);
  CHECK(contains(as_text(chunk), "stream-open"));
  CHECK(atomic_load(&first.frees) == 1 && atomic_load(&first.calls) == 0);
  evs_error *error = NULL;
  CHECK(evs_reply_poll(reply, &chunk, on_ready, &second, count_free, &error) == EVS_STATUS_PENDING);
  CHECK(chunk.len == 0 && error == NULL && atomic_load(&second.frees) == 0);
  publish(hub, "a", "1");
  AWAIT(atomic_load(&second.frees) == 1);
  CHECK(atomic_load(&second.calls) == 1);
  OK(evs_reply_poll, reply, &chunk, on_ready, &third, count_free);
  CHECK(contains(as_text(chunk), "data: 1\n") && atomic_load(&third.frees) == 1);

  /* A poll that another call overtakes, and one whose reply is freed. */
  counter overtaken = {0}, freed = {0};
  CHECK(evs_reply_poll(reply, &chunk, on_ready, &overtaken, count_free, NULL) == EVS_STATUS_PENDING);
  OK_GIVES(EVS_STATUS_TIMEOUT, evs_reply_next, reply, 0, &chunk);
  AWAIT(atomic_load(&overtaken.frees) == 1);
  CHECK(evs_reply_poll(reply, &chunk, on_ready, &freed, count_free, NULL) == EVS_STATUS_PENDING);
  evs_reply_free(reply);
  AWAIT(atomic_load(&freed.frees) == 1); /* it may have been called at the last moment, in vain */

  /* The end is told too. */
  counter end = {0}, late = {0};
  reply = open_stream(hub, "/events/?channel=a");
  evs_reply_skip_body(reply);
  CHECK(evs_reply_poll(reply, &chunk, on_ready, &end, count_free, NULL) == EVS_STATUS_PENDING);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  CHECK(atomic_load(&end.calls) == 1 && atomic_load(&end.frees) == 1);
  OK(evs_reply_poll, reply, &chunk, on_ready, &late, count_free);
  CHECK(contains(as_text(chunk), "retry: "));
  CHECK(evs_reply_poll(reply, &chunk, on_ready, &late, NULL, NULL) == EVS_STATUS_ENDED);
  CHECK(atomic_load(&late.calls) == 0);
  evs_reply_free(reply);
  evs_hub_free(hub);
}

static void tuning(void) {
  evs_hub *hub = new_hub();
  int fds[2], fd = socket(AF_INET, SOCK_STREAM, 0), on = 0;
  socklen_t len = sizeof on;
  socket_pair(fds);
  OK(evs_hub_tune_fd, hub, fd);
  CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on != 0);
  OK(evs_hub_tune_fd, hub, fds[0]);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_tune_fd, hub, -1);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_tune_fd, hub, 1000000);
  close(fd);
  close(fds[0]);
  close(fds[1]);
  close_hub(hub);
}

static uint64_t open_streams(evs_hub *hub) {
  evs_stats stats = EVS_STATS_INIT;
  OK(evs_hub_stats, hub, &stats);
  return stats.open;
}

static void adopting(void) {
  evs_hub *hub = new_hub();
  for (uint32_t framing = EVS_FRAMING_CHUNKED; framing <= EVS_FRAMING_CLOSE; framing++) {
    for (int skip = 0; skip < 2; skip++) {
      evs_reply *reply = open_stream(hub, "/events/?channel=a");
      int fds[2];
      socket_pair(fds);
      client *reader = client_on(fds[0]);
      GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, -1, framing);
      GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, 1000000, framing);
      GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, fds[1], 7);
      if (skip) evs_reply_skip_body(reply);
      OK(evs_reply_adopt_fd, reply, fds[1], framing);
      close(fds[1]);
      CHECK(!evs_reply_has_stream(reply) && evs_reply_status(reply) == 200);
      GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_reply_adopt_fd, reply, fds[0], framing);
      evs_bytes chunk;
      GIVES(EVS_STATUS_ENDED, evs_reply_next, reply, 0, &chunk);
      evs_reply_free(reply); /* the stream goes on */
      publish(hub, "a", "x");
      EXPECT(reader, "data: x\n");
      CHECK((strstr(reader->text, "stream-open") == NULL) == skip);
      if (framing == EVS_FRAMING_CHUNKED) {
        char *end;
        CHECK(strtol(reader->text, &end, 16) > 0 && end[0] == '\r' && end[1] == '\n');
      } else {
        CHECK(strncmp(reader->text, skip ? "data: x\n" : "event: stream-open\n", skip ? 8 : 19) == 0);
      }
      hang_up(reader);
    }
  }
  AWAIT(open_streams(hub) == 0);
  close_hub(hub);
}

/* A closed hub opens nothing, and what it had opened before says when to come back. */
static void closed_events_open_nothing(void) {
  evs_hub *hub = new_hub();
  evs_request *request = new_request("GET", "/?channel=a");
  evs_reply *adopted = NULL, *pulled = NULL, *after = (evs_reply *)&after;
  OK(evs_hub_open, hub, request, everything(), &adopted);
  OK(evs_hub_open, hub, request, everything(), &pulled);
  evs_reply_skip_body(pulled);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  OK(evs_hub_screen, hub, request, &after);
  CHECK(after != NULL && evs_reply_status(after) == 503);
  evs_reply_free(after);
  OK(evs_hub_open, hub, request, everything(), &after);
  CHECK(evs_reply_status(after) == 503 && !evs_reply_has_stream(after));
  evs_reply_free(after);
  int fds[2];
  socket_pair(fds);
  client *reader = client_on(fds[0]);
  OK(evs_reply_adopt_fd, adopted, fds[1], EVS_FRAMING_CLOSE);
  close(fds[1]);
  read_all(reader);
  CHECK(strncmp(reader->text, "event: stream-open\n", 19) == 0);
  CHECK(strstr(reader->text, "data: {\"reason\":\"shutdown\"}\n") != NULL);
  hang_up(reader);
  evs_reply_free(adopted);
  evs_bytes chunk;
  OK(evs_reply_next, pulled, EVS_FOREVER, &chunk);
  CHECK(contains(as_text(chunk), "{\"reason\":\"shutdown\"}"));
  OK_GIVES(EVS_STATUS_ENDED, evs_reply_next, pulled, EVS_FOREVER, &chunk);
  evs_reply_free(pulled);
  evs_request_free(request);
  evs_hub_free(hub);
}

int main(void) {
  RUN(requests_are_what_was_given);
  RUN(replies_say_how_to_begin);
  RUN(refusals_are_replies_too);
  RUN(what_needs_no_word_of_the_application);
  RUN(access_decides);
  RUN(pulling);
  RUN(first_bytes_may_be_sent_by_others);
  RUN(polling);
  RUN(tuning);
  RUN(adopting);
  RUN(closed_events_open_nothing);
  return 0;
}
