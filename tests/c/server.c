/* evstream's own server: mounts, the two callbacks, publishing to it, closing it. */
#include "client.h"

static evs_server *new_server(evs_hub *hub) {
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  return server;
}

static uint16_t listen_somewhere(evs_server *server) {
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  CHECK(evs_server_port(server) != 0);
  return evs_server_port(server);
}

static void streams_of_mounts(void) {
  evs_hub *hub = new_hub();
  evs_server *server = new_server(hub);
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
  publish(hub, "\xC3\xBC", "hello");
  publish(hub, "b", "to b");
  EXPECT(own_choice, "data: hello\n");
  EXPECT(no_choice, "data: to b\n");
  OK(evs_server_close, server, PATIENCE_MS);
  read_all(own_choice);
  EXPECT(own_choice, "retry: ");
  CHECK(dial(port) == -1);
  hang_up(own_choice);
  hang_up(no_choice);
  hang_up(nowhere);
  evs_server_free(server);
  close_hub(hub);
}

static void addresses(void) {
  evs_hub *hub = new_hub();
  evs_server *server = new_server(hub);
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
  evs_server *second = new_server(hub);
  GIVES(EVS_STATUS_IO, evs_server_listen, second, address, strlen(address));
  OK(evs_server_mount, second, EVS_LITERAL("no path"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_listen, second, EVS_LITERAL("127.0.0.1:0"));
  evs_server_free(second);

  char path[64];
  snprintf(path, sizeof path, "unix:/tmp/evstream-test-%d.sock", (int)getpid());
  evs_server *on_unix = new_server(hub);
  OK(evs_server_listen, on_unix, path, strlen(path));
  CHECK_TEXT(evs_server_address(on_unix), path);
  CHECK(evs_server_port(on_unix) == 0 && access(path + strlen("unix:"), F_OK) == 0);
  OK(evs_server_close, on_unix, PATIENCE_MS);
  CHECK(access(path + strlen("unix:"), F_OK) != 0);
  evs_server_free(on_unix);
  evs_server_free(server);
  close_hub(hub);
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
  size_t channels_len;
  CHECK_TEXT(evs_request_path(request), "/mine/");
  CHECK_TEXT(evs_request_channels(request, &channels_len)[0], "wished");
  CHECK(channels_len == 1 && !evs_request_is_held(request));
  CHECK_TEXT(evs_request_peer(request), "127.0.0.1");
  CHECK(evs_request_body(request).len == 0);
  evs_str name;
  if (!evs_request_header(request, EVS_LITERAL("x-USER"), &name)) {
    CHECK(name.len == 0);
    return; /* without a word the client is refused */
  }
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
  evs_hub *hub = new_hub();
  evs_server *server = new_server(hub);
  seen told = {.text = ""};
  OK(evs_server_mount_authorize, server, EVS_LITERAL("/mine/"), authorize, &told, count_free);
  uint16_t port = listen_somewhere(server);
  const struct {
    const char *header;
    const char *expected;
  } cases[] = {
      {"", "\"condition\":\"forbidden\",\"text\":\"you may not read this stream\""},
      {"X-User: nobody\r\n", "\"condition\":\"forbidden\",\"text\":\"please log in\""},
      {"X-User: broken\r\n", "the database is away"},
      {"X-User: broken\r\nAccept: text/event-stream\r\n", "{\"reason\":\"failed\"}"},
      {"X-User: admin\r\n", "{\"channels\":[\"wished\"]}"},
      {"X-User: bob\r\n", "{\"channels\":[\"all\",\"bob\"]}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    client *reader = request_to(port, "GET /mine/?channel=wished", cases[i].header, "");
    EXPECT(reader, cases[i].expected);
    hang_up(reader);
  }
  CHECK(atomic_load(&told.count.calls) == 6 && atomic_load(&told.count.frees) == 0);
  close_hub(hub);
  CHECK(atomic_load(&told.count.frees) == 1);
  evs_server_free(server);
}

static void show_peer(void *user_data, const evs_request *request, evs_response *response) {
  (void)user_data;
  evs_str peer = evs_request_peer(request);
  OK(evs_response_set_body, response, peer.ptr, peer.len);
}

/* A proxy that passes connections on says first whom they come from. */
static void behind_a_proxy(void) {
  evs_config *config = NULL;
  evs_hub *hub = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_flag, config, EVS_OPTION_PROXY_PROTOCOL, true);
  OK(evs_config_set_text, config, EVS_OPTION_TRUSTED_PROXIES, EVS_LITERAL("127.0.0.1"));
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  evs_server *server = new_server(hub);
  OK(evs_server_fallback, server, show_peer, NULL, NULL);
  uint16_t port = listen_somewhere(server);
  const char *header = "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  int fd = dial(port);
  CHECK(fd >= 0);
  send_all(fd, header, strlen(header));
  client *bob = client_on(fd), *other = get(port, "/");
  EXPECT(bob, "192.0.2.1");
  read_all(other);
  CHECK(other->len == 0);
  hang_up(bob);
  hang_up(other);
  close_hub(hub);
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
  evs_hub *hub = hub_with("max_body_bytes", 100);
  evs_server *server = new_server(hub);
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
  close_hub(hub);
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
    evs_hub *hub = new_hub();
    evs_server *server = new_server(hub);
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
    close_hub(hub);
  }
  evs_hub *hub = new_hub();
  evs_server *server = new_server(hub);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_accept_publish_basic, server, EVS_LITERAL("a:b"), EVS_LITERAL("x"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_accept_publish_bearer, server, EVS_LITERAL("two words"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_accept_publish_jwt, server, EVS_LITERAL("me"), EVS_LITERAL(""));
  OK(evs_server_accept_publish_jwt, server, EVS_LITERAL("me"), EVS_LITERAL("a-secret-that-is-long-enough-for-it"));
  evs_server_free(server);
  close_hub(hub);
}

static void closing(void) {
  evs_hub *hub = new_hub();
  evs_server *server = new_server(hub);
  OK(evs_server_close, server, 0); /* it does not even listen */
  OK(evs_server_mount, server, EVS_LITERAL("/events/"));
  uint16_t port = listen_somewhere(server);
  client *reader = get(port, "/events/?channel=a");
  EXPECT(reader, "stream-open");
  OK(evs_server_close, server, EVS_FOREVER);
  OK(evs_server_close, server, 0);
  read_all(reader);
  hang_up(reader);
  publish(hub, "a", "the events go on");
  evs_server_free(server);
  OK(evs_hub_close, hub, EVS_FOREVER, NULL);
  OK(evs_hub_close, hub, 0, NULL);
  evs_server *late = (evs_server *)&late;
  GIVES(EVS_STATUS_CLOSED, evs_server_new, hub, &late);
  CHECK(late == NULL);
  evs_hub_free(hub);
}

static void may_know(void *user_data, const evs_request *request, evs_access *access) {
  (void)user_data;
  evs_str token = {NULL, 0};
  if (evs_request_header(request, EVS_LITERAL("x-token"), &token) && token.len == 5 && memcmp(token.ptr, "right", 5) == 0) OK(evs_access_allow, access);
}

static void metrics_and_health(void) {
  evs_hub *hub = new_hub();
  publish(hub, "a", "hello");
  for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
    evs_text *text = NULL;
    OK(evs_hub_metrics, hub, openmetrics, &text);
    char *copy = strndup(evs_text_str(text).ptr, evs_text_str(text).len);
    evs_text_free(text);
    CHECK(strstr(copy, "\nevstream_events_published_total 1\n") != NULL);
    CHECK((strstr(copy, "\n# EOF\n") != NULL) == openmetrics);
    free(copy);
  }

  evs_server *server = new_server(hub);
  counter freed = {0};
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_mount_metrics, server, NULL, 1, may_know, &freed, count_free);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_mount_health, server, NULL, 1, may_know, &freed, count_free);
  CHECK(atomic_load(&freed.frees) == 4);
  OK(evs_server_mount_metrics, server, EVS_LITERAL("/metrics"), NULL, &freed, count_free);
  CHECK(atomic_load(&freed.frees) == 5); /* nothing is to be called with it */
  OK(evs_server_mount_metrics, server, EVS_LITERAL("/guarded"), may_know, NULL, NULL);
  OK(evs_server_mount_health, server, EVS_LITERAL("/healthz"), NULL, NULL, NULL);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_server_listen, server, EVS_LITERAL("0.0.0.0:0"));
  uint16_t port = listen_somewhere(server);
  client *open = get(port, "/metrics"), *stranger = get(port, "/guarded"), *well = get(port, "/healthz");
  client *known = request_to(port, "GET /guarded", "X-Token: right\r\nAccept: application/openmetrics-text\r\n", "");
  EXPECT(open, "\nevstream_events_published_total 1\n");
  EXPECT(stranger, "403 Forbidden");
  EXPECT(known, "\n# EOF\n");
  EXPECT(well, "{\"ready\":true,\"live\":true,\"problems\":[]}");
  hang_up(open);
  hang_up(stranger);
  hang_up(known);
  hang_up(well);

  bool ready = false, live = false;
  OK(evs_hub_health, hub, &ready, &live, NULL);
  CHECK(ready && live);
  OK(evs_hub_close, hub, PATIENCE_MS, NULL);
  evs_text *told = NULL;
  OK(evs_hub_health, hub, &ready, NULL, &told);
  CHECK(!ready);
  CHECK_TEXT(evs_text_str(told), "{\"ready\":false,\"live\":true,\"problems\":[\"the events are closed, or about to be\"]}");
  evs_text_free(told);
  evs_server_free(server);
  evs_hub_free(hub);
}

int main(void) {
  RUN(streams_of_mounts);
  RUN(addresses);
  RUN(authorization);
  RUN(a_fallback_answers_the_rest);
  RUN(behind_a_proxy);
  RUN(publishing_to_a_server);
  RUN(closing);
  RUN(metrics_and_health);
  return 0;
}
