/* evstream's own server: mounts, the two callbacks, publishing to it, closing it. */
#include "client.h"

static evs_server *new_server(const evs_events *events) {
  evs_server *server = NULL;
  OK(evs_server_new, events, &server);
  return server;
}

static uint16_t listen_somewhere(evs_server *server) {
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  CHECK(evs_server_port(server) != 0);
  return evs_server_port(server);
}

static void streams_of_mounts(void) {
  evs_events *events = new_events();
  evs_server *server = new_server(events);
  evs_str fixed[] = {evs_str_z("a"), evs_str_z("b")};
  OK(evs_server_mount, server, EVS_LITERAL("/events/"));
  OK(evs_server_mount_channels, server, EVS_LITERAL("/fixed"), fixed, 2);
  uint16_t port = listen_somewhere(server);
  client *own_choice = get(port, "/events/?channel=c&channel=%C3%BC");
  client *no_choice = get(port, "/fixed?channel=c");
  client *nowhere = get(port, "/");
  EXPECT(own_choice, "200 OK");
  EXPECT(own_choice, "{\"channels\":[\"c\",\"\xC3\xBC\"]}");
  EXPECT(no_choice, "{\"channels\":[\"a\",\"b\"]}");
  EXPECT(nowhere, "404 Not Found");
  publish(events, "\xC3\xBC", "hello");
  publish(events, "b", "to b");
  EXPECT(own_choice, "data: hello\n\n");
  EXPECT(no_choice, "data: to b\n\n");
  OK(evs_server_close, server, PATIENCE_MS);
  read_all(own_choice);
  EXPECT(own_choice, "retry: ");
  CHECK(dial(port) == -1);
  hang_up(own_choice);
  hang_up(no_choice);
  hang_up(nowhere);
  evs_server_free(server);
  close_events(events);
}

static void addresses(void) {
  evs_events *events = new_events();
  evs_server *server = new_server(events);
  CHECK(evs_server_port(server) == 0 && evs_server_address(server).len == 0);
  OK(evs_server_mount, server, EVS_LITERAL("/events/"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_listen, server, EVS_LITERAL("nonsense"));
  GIVES(EVS_STATUS_IO, evs_server_listen, server, EVS_LITERAL("192.0.2.1:1"));
  uint16_t port = listen_somewhere(server); /* it can be tried again */
  char address[64];
  snprintf(address, sizeof address, "127.0.0.1:%d", port);
  CHECK_TEXT(evs_server_address(server), address);
  CHECK(strlen(evs_server_address(server).ptr) == evs_server_address(server).len);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_mount, server, EVS_LITERAL("/more/"));
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_accept_publish, server);
  evs_server *second = new_server(events);
  GIVES(EVS_STATUS_IO, evs_server_listen, second, address, strlen(address));
  OK(evs_server_mount, second, EVS_LITERAL("no path"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_listen, second, EVS_LITERAL("127.0.0.1:0"));
  evs_server_free(second);

  char path[64];
  snprintf(path, sizeof path, "unix:/tmp/evstream-test-%d.sock", (int)getpid());
  evs_server *on_unix = new_server(events);
  OK(evs_server_listen, on_unix, path, strlen(path));
  CHECK_TEXT(evs_server_address(on_unix), path);
  CHECK(evs_server_port(on_unix) == 0 && access(path + strlen("unix:"), F_OK) == 0);
  OK(evs_server_close, on_unix, PATIENCE_MS);
  CHECK(access(path + strlen("unix:"), F_OK) != 0);
  evs_server_free(on_unix);
  evs_server_free(server);
  close_events(events);
}

typedef struct seen {
  counter count;
  char text[256];
} seen;

/* Allows what the header X-User says, in several ways. */
static void authorize(void *user_data, const evs_request *request, evs_access *access) {
  seen *told = (seen *)user_data;
  atomic_fetch_add(&told->count.calls, 1);
  CHECK_TEXT(evs_request_method(request), "GET");
  CHECK_TEXT(evs_request_path(request), "/mine/");
  CHECK_TEXT(evs_request_peer(request), "127.0.0.1");
  CHECK(evs_request_body(request).len == 0);
  evs_bytes user;
  if (!evs_request_header(request, EVS_LITERAL("x-USER"), &user)) {
    CHECK(user.len == 0);
    return; /* without a word the client is refused */
  }
  evs_str name = as_text(user);
  if (contains(name, "nobody")) {
    OK(evs_access_forbid, access, EVS_LITERAL("please log in"));
  } else if (contains(name, "broken")) {
    OK(evs_access_fail, access, EVS_LITERAL("the database is away"));
  } else if (contains(name, "admin")) {
    OK(evs_access_allow, access);
  } else {
    OK(evs_access_allow, access); /* the last word counts */
    evs_str channels[] = {evs_str_z("all"), name};
    OK(evs_access_set_channels, access, channels, 2);
    OK(evs_access_set_user, access, name.ptr, name.len);
  }
  evs_access_free(access); /* not ours: left alone */
  evs_request_free((evs_request *)request);
  CHECK_TEXT(evs_request_path(request), "/mine/");
}

static void authorization(void) {
  evs_events *events = new_events();
  evs_server *server = new_server(events);
  seen told = {.text = ""};
  OK(evs_server_mount_authorize, server, EVS_LITERAL("/mine/"), authorize, &told, count_free);
  uint16_t port = listen_somewhere(server);
  const struct {
    const char *header;
    const char *expected;
  } cases[] = {
      {"", "\"condition\":\"forbidden\",\"text\":\"you may not read this stream\""},
      {"X-User: nobody\r\n", "\"condition\":\"forbidden\",\"text\":\"please log in\""},
      {"X-User: broken\r\n", "\"condition\":\"internal-error\",\"text\":\"the database is away\""},
      {"X-User: admin\r\n", "{\"channels\":[\"wished\"]}"},
      {"X-User: bob\r\n", "{\"channels\":[\"all\",\"bob\"]}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    client *reader = request_to(port, "GET /mine/?channel=wished", cases[i].header, "");
    EXPECT(reader, cases[i].expected);
    hang_up(reader);
  }
  CHECK(atomic_load(&told.count.calls) == 5 && atomic_load(&told.count.frees) == 0);
  close_events(events);
  CHECK(atomic_load(&told.count.frees) == 1);
  evs_server_free(server);
}

static void respond(void *user_data, const evs_request *request, evs_response *response) {
  seen *told = (seen *)user_data;
  atomic_fetch_add(&told->count.calls, 1);
  evs_str path = evs_request_path(request);
  if (contains(path, "nothing")) return;
  char text[512];
  evs_str query = evs_request_query(request), body = as_text(evs_request_body(request));
  int len = snprintf(text, sizeof text, "%.*s?%.*s: %.*s", (int)path.len, path.ptr, (int)query.len, query.ptr, (int)body.len, body.ptr);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_response_set_status, response, 199);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_response_set_status, response, 1000);
  OK(evs_response_set_status, response, 201);
  OK(evs_response_add_header, response, EVS_LITERAL("Content-Type"), EVS_LITERAL("text/plain"));
  if (contains(path, "split")) OK(evs_response_add_header, response, EVS_LITERAL("X"), EVS_LITERAL("a\r\nInjected: 1"));
  OK(evs_response_set_body, response, text, (size_t)len);
}

static void a_fallback_answers_the_rest(void) {
  evs_events *events = events_with("max_body_bytes", 100);
  evs_server *server = new_server(events);
  seen first = {.text = ""}, told = {.text = ""};
  OK(evs_server_mount, server, EVS_LITERAL("/events/"));
  OK(evs_server_fallback, server, respond, &first, count_free);
  OK(evs_server_fallback, server, respond, &told, count_free);
  CHECK(atomic_load(&first.count.frees) == 1); /* its place was taken */
  uint16_t port = listen_somewhere(server);
  client *poster = request_to(port, "POST /page?a=1", "", "the body");
  EXPECT(poster, "201 Created");
  EXPECT(poster, "content-type: text/plain");
  EXPECT(poster, "/page?a=1: the body");
  client *lost = get(port, "/nothing"), *injector = get(port, "/split"), *reader = get(port, "/events/?channel=a");
  EXPECT(lost, "404 Not Found");
  EXPECT(injector, "500 Internal Server Error");
  EXPECT(reader, "stream-open");
  char large[200];
  memset(large, 'x', sizeof large);
  large[sizeof large - 1] = '\0';
  client *flood = request_to(port, "POST /", "", large);
  EXPECT(flood, "413 Payload Too Large");
  CHECK(atomic_load(&told.count.calls) == 3);
  hang_up(poster);
  hang_up(lost);
  hang_up(injector);
  hang_up(reader);
  hang_up(flood);
  close_events(events);
  evs_server_free(server);
  CHECK(atomic_load(&told.count.frees) == 1 && atomic_load(&first.count.calls) == 0);
}

static void publishing_to_a_server(void) {
  const char *body = "{\"items\":[{\"channel\":\"events-a\",\"formats\":{\"http-stream\":{\"content\":\"data: from afar\\n\\n\"}}}]}";
  const struct {
    const char *authorization;
    const char *refused;
  } cases[] = {{"", NULL},
               {"Authorization: Basic dXNlcjpzZWNyZXQ=\r\n", ""},
               {"Authorization: Bearer token\r\n", "Authorization: Bearer other\r\n"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    evs_events *events = new_events();
    evs_server *server = new_server(events);
    OK(evs_server_mount, server, EVS_LITERAL("/events/"));
    if (i == 0) OK(evs_server_accept_publish, server);
    if (i == 1) OK(evs_server_accept_publish_basic, server, EVS_LITERAL("user"), EVS_LITERAL("secret"));
    if (i == 2) OK(evs_server_accept_publish_bearer, server, EVS_LITERAL("token"));
    if (i == 0) GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_listen, server, EVS_LITERAL("0.0.0.0:0"));
    uint16_t port = listen_somewhere(server);
    client *reader = get(port, "/events/?channel=a");
    EXPECT(reader, "stream-open");
    client *publisher = request_to(port, "POST /publish/", cases[i].authorization, body);
    EXPECT(publisher, "200 OK");
    EXPECT(reader, "data: from afar");
    if (cases[i].refused != NULL) {
      client *stranger = request_to(port, "POST /publish/", cases[i].refused, body);
      EXPECT(stranger, "401 Unauthorized");
      hang_up(stranger);
    }
    hang_up(reader);
    hang_up(publisher);
    evs_server_free(server);
    close_events(events);
  }
  evs_events *events = new_events();
  evs_server *server = new_server(events);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_accept_publish_basic, server, EVS_LITERAL("a:b"), EVS_LITERAL("x"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_accept_publish_bearer, server, EVS_LITERAL("two words"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_accept_publish_jwt, server, EVS_LITERAL("me"), EVS_LITERAL(""));
  OK(evs_server_accept_publish_jwt, server, EVS_LITERAL("me"), EVS_LITERAL("a-secret-that-is-long-enough-for-it"));
  evs_server_free(server);
  close_events(events);
}

static void closing(void) {
  evs_events *events = new_events();
  evs_server *server = new_server(events);
  OK(evs_server_close, server, 0); /* it does not even listen */
  OK(evs_server_mount, server, EVS_LITERAL("/events/"));
  uint16_t port = listen_somewhere(server);
  client *reader = get(port, "/events/?channel=a");
  EXPECT(reader, "stream-open");
  OK(evs_server_close, server, EVS_FOREVER);
  OK(evs_server_close, server, 0);
  read_all(reader);
  hang_up(reader);
  publish(events, "a", "the events go on");
  evs_server_free(server);
  OK(evs_events_close, events, EVS_FOREVER, NULL);
  OK(evs_events_close, events, 0, NULL);
  evs_server *late = (evs_server *)&late;
  GIVES(EVS_STATUS_CLOSED, evs_server_new, events, &late);
  CHECK(late == NULL);
  evs_events_free(events);
}

int main(void) {
  RUN(streams_of_mounts);
  RUN(addresses);
  RUN(authorization);
  RUN(a_fallback_answers_the_rest);
  RUN(publishing_to_a_server);
  RUN(closing);
  return 0;
}
