/* Rights that change while streams are open: who is asked again, disconnected, expires; and snapshots. */
#include "client.h"

/* Of "bob" for the channels "a" and "b", up to the year 2100. */
#define TOKEN \
  "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsImV2c3RyZWFtIjp7ImNoYW5uZWxzIjpbImEiLCJiIl19fQ.Wu60_7peGp42HGWF_mBT7ZUfMmy2WsZfMyfBPeb-3WY"

/* Grants the channel "room" to the user in a header, greets with a snapshot, and begins after the position it was given. */
static void decide(void *user_data, const evs_request *request, evs_access *access) {
  evs_hub *hub = (evs_hub *)user_data;
  evs_str room[] = {evs_str_z("room")}, user = {NULL, 0};
  if (!evs_request_header(request, EVS_LITERAL("x-user"), &user)) return;
  char position[EVS_POSITION_BYTES];
  OK(evs_hub_position, hub, &position);
  evs_event snapshot = EVS_EVENT_INIT;
  snapshot.name = evs_str_z("rows");
  snapshot.data = evs_str_z("snapshot");
  OK(evs_access_set_channels, access, room, 1);
  OK(evs_access_set_user, access, user.ptr, user.len);
  OK(evs_access_set_since, access, position, EVS_ZSTR);
  OK(evs_access_greet, access, &snapshot);
  OK(evs_access_set_expiry, access, (uint64_t)time(NULL) + 3600);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_access_set_expiry, access, (uint64_t)time(NULL) * 1000);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_access_set_since, access, EVS_LITERAL("yesterday"));
  snapshot.name = evs_str_z("stream-open");
  GIVES(EVS_STATUS_INVALID_EVENT, evs_access_greet, access, &snapshot);
}

static uint16_t serve(evs_hub *hub, evs_server **server) {
  OK(evs_server_new, hub, server);
  OK(evs_server_mount_authorize, *server, EVS_LITERAL("/events/"), decide, hub, NULL);
  OK(evs_server_listen, *server, EVS_LITERAL("127.0.0.1:0"));
  return evs_server_port(*server);
}

static client *of_user(uint16_t port, const char *header) {
  client *made = request_to(port, "GET /events/", header, "");
  EXPECT(made, "stream-open");
  EXPECT(made, "event: rows\ndata: snapshot\n");
  return made;
}

static void whose_streams(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  uint16_t port = serve(hub, &server);
  client *bob = of_user(port, "X-User: bob\r\n");
  client *eve = of_user(port, "X-User: eve\r\n");
  evs_who who = EVS_WHO_INIT;
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_reopen, hub, &who);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_disconnect, hub, &who, EVS_LITERAL("x"));
  who.user = evs_str_z("bob");
  who.channel = evs_str_z("room");
  OK(evs_hub_disconnect, hub, &who, EVS_LITERAL("you have left"));
  publish(hub, "room", "secret");
  read_all(bob);
  EXPECT(bob, "you have left");
  CHECK(strstr(bob->text, "secret") == NULL);
  EXPECT(eve, "data: secret\n");
  evs_who all = EVS_WHO_INIT;
  all.everyone = true;
  OK(evs_hub_reopen, hub, &all);
  read_all(eve);
  EXPECT(eve, "{\"reason\":\"reauthorize\"}");
  hang_up(bob);
  hang_up(eve);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
}

/* Streams and users that were shown. */
typedef struct {
  int count;
  char ids[4][64], users[4][16];
} shown;

static void show_stream(void *user_data, const evs_stream_info *stream) {
  shown *all = (shown *)user_data;
  CHECK(all->count < 4);
  CHECK(stream->struct_size == sizeof *stream);
  CHECK(stream->channels_len == 1 && strncmp(stream->channels[0].ptr, "room", 4) == 0);
  CHECK(stream->behind <= 1);
  snprintf(all->ids[all->count], sizeof all->ids[0], "%.*s", (int)stream->id.len, stream->id.ptr);
  snprintf(all->users[all->count++], sizeof all->users[0], "%.*s", (int)stream->user.len, stream->user.ptr);
}

static void show_user(void *user_data, evs_str user) {
  shown *all = (shown *)user_data;
  CHECK(all->count < 4);
  snprintf(all->users[all->count++], sizeof all->users[0], "%.*s", (int)user.len, user.ptr);
}

static void who_is_there(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  uint16_t port = serve(hub, &server);
  client *bob = of_user(port, "X-User: bob\r\n");
  client *eve = of_user(port, "X-User: eve\r\n");
  /* Then the engine has both. */
  publish(hub, "room", "first");
  EXPECT(bob, "data: first\n");
  EXPECT(eve, "data: first\n");
  evs_who all = EVS_WHO_INIT, nobody = EVS_WHO_INIT;
  all.everyone = true;
  shown streams = {0, {{0}}, {{0}}}, users = streams;
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_streams, hub, &nobody, show_stream, &streams);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_streams, hub, &all, NULL, &streams);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_users, hub, EVS_LITERAL("room"), NULL, &users);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_users, hub, EVS_LITERAL(""), show_user, &users);
  CHECK(streams.count == 0 && users.count == 0);
  OK(evs_hub_streams, hub, &all, show_stream, &streams);
  CHECK(streams.count == 2 && strcmp(streams.ids[0], streams.ids[1]) != 0);
  OK(evs_hub_users, hub, EVS_LITERAL("room"), show_user, &users);
  CHECK(users.count == 2 && strcmp(users.users[0], "bob") == 0 && strcmp(users.users[1], "eve") == 0);
  int eves = strcmp(streams.users[0], "eve") == 0 ? 0 : 1;
  evs_who one = EVS_WHO_INIT;
  one.stream = evs_str_z(streams.ids[eves]);
  OK(evs_hub_disconnect, hub, &one, EVS_LITERAL("you"));
  read_all(eve);
  publish(hub, "room", "still");
  EXPECT(bob, "data: still\n");
  hang_up(bob);
  hang_up(eve);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_streams, NULL, &all, show_stream, &streams);
}

static void one_user(void) {
  evs_hub *plain = new_hub();
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("for bob");
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_hub_publish_to_user, plain, EVS_LITERAL("bob"), &event, NULL);
  close_hub(plain);
  evs_config *config = NULL;
  OK(evs_config_new, &config);
  OK(evs_config_set_flag, config, EVS_OPTION_USER_CHANNEL, true);
  evs_hub *hub = NULL;
  OK(evs_hub_new, config, &hub);
  evs_config_free(config);
  evs_server *server = NULL;
  uint16_t port = serve(hub, &server);
  client *bob = of_user(port, "X-User: bob\r\n");
  client *eve = of_user(port, "X-User: eve\r\n");
  evs_receipt receipt = EVS_RECEIPT_INIT;
  OK(evs_hub_publish_to_user, hub, EVS_LITERAL("bob"), &event, &receipt);
  CHECK(receipt.streams == 1);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_publish_to_user, hub, EVS_LITERAL(""), &event, NULL);
  evs_channel *channel = NULL;
  OK(evs_hub_user_channel, hub, EVS_LITERAL("eve"), &channel);
  CHECK(evs_channel_streams(channel) == 1);
  evs_channel_free(channel);
  publish(hub, "room", "for all");
  EXPECT(bob, "data: for bob\n");
  EXPECT(bob, "data: for all\n");
  EXPECT(eve, "data: for all\n");
  CHECK(strstr(eve->text, "for bob") == NULL);
  hang_up(bob);
  hang_up(eve);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
}

/* Keys that are fetched, from where nobody answers. */
static void by_keys_at_an_address(void) {
  evs_jwt *jwt = NULL;
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_jwt_new, EVS_LITERAL("http://login.example.com/keys"), &jwt);
  OK(evs_jwt_new, EVS_LITERAL("http://127.0.0.1:9/keys"), &jwt);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_jwt_add_key, jwt, EVS_LITERAL("https://login.example.com/keys"));
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_mount_jwt, server, EVS_LITERAL("/events/"), jwt);
  evs_jwt_free(jwt);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  client *bob = request_to(evs_server_port(server), "GET /events/", "Authorization: " TOKEN "\r\n", "");
  EXPECT(bob, "503 Service Unavailable");
  hang_up(bob);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
}

static void by_token(void) {
  evs_jwt *jwt = NULL;
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_jwt_new, EVS_LITERAL("changeme"), &jwt);
  OK(evs_jwt_new, EVS_LITERAL("a secret of some length"), &jwt);
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_jwt_add_key, jwt, EVS_LITERAL("short"));
  GIVES(EVS_STATUS_INVALID_CONFIG, evs_jwt_set_cookie, jwt, EVS_LITERAL("token"));
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_mount_jwt, server, EVS_LITERAL("/events/"), jwt);
  evs_jwt_free(jwt); /* the server has its own */
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  uint16_t port = evs_server_port(server);
  client *bob = request_to(port, "GET /events/?channel=b", "Authorization: " TOKEN "\r\n", "");
  EXPECT(bob, "event: stream-open\ndata: {\"channels\":[\"b\"]}\n");
  publish(hub, "b", "for bob");
  EXPECT(bob, "data: for bob\n");
  client *nobody = request_to(port, "GET /events/", "", "");
  EXPECT(nobody, "401 Unauthorized");
  EXPECT(nobody, "a token is needed");
  evs_stats stats = EVS_STATS_INIT;
  OK(evs_hub_stats, hub, &stats);
  CHECK(stats.tokens_refused == 1);
  hang_up(bob);
  hang_up(nobody);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
}

static void only_public(void) {
  evs_hub *hub = new_hub();
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  const evs_str wrong = evs_str_z("a*b"), channels[] = {evs_str_z("clock"), evs_str_z("news-*")};
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_server_mount_public, server, EVS_LITERAL("/events/"), &wrong, 1);
  OK(evs_server_mount_public, server, EVS_LITERAL("/events/"), channels, 2);
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  uint16_t port = evs_server_port(server);
  client *granted = get(port, "/events/?channel=clock&channel=news-de"), *refused = get(port, "/events/?channel=room-1");
  EXPECT(granted, "data: {\"channels\":[\"clock\",\"news-de\"]}\n");
  EXPECT(refused, "is not public");
  hang_up(granted);
  hang_up(refused);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
}

static void by_ticket(void) {
  evs_tickets *tickets = NULL;
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_tickets_new, EVS_LITERAL(""), 0, 0, &tickets);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_tickets_new, EVS_LITERAL("live"), 3601, 0, &tickets);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_tickets_new, EVS_LITERAL("live"), 0, 604801, &tickets);
  OK(evs_tickets_new, EVS_LITERAL("live"), 0, 0, &tickets);
  evs_hub *hub = new_hub();
  evs_access *access = NULL;
  OK(evs_access_new, &access);
  evs_text *ticket = NULL;
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_ticket, hub, tickets, access, &ticket); /* a refusal */
  OK(evs_access_allow, access);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_hub_ticket, hub, tickets, access, &ticket);
  const evs_str channels[] = {evs_str_z("a"), evs_str_z("b")};
  OK(evs_access_set_channels, access, channels, 2);
  OK(evs_hub_ticket, hub, tickets, access, &ticket);
  evs_access_free(access);
  evs_server *server = NULL;
  OK(evs_server_new, hub, &server);
  OK(evs_server_mount_tickets, server, EVS_LITERAL("/events/"), tickets);
  evs_tickets_free(tickets); /* the server has its own */
  OK(evs_server_listen, server, EVS_LITERAL("127.0.0.1:0"));
  uint16_t port = evs_server_port(server);
  char line[1024];
  evs_str text = evs_text_str(ticket);
  snprintf(line, sizeof line, "GET /events/?channel=b&ticket=%.*s", (int)text.len, text.ptr);
  evs_text_free(ticket);
  client *bob = request_to(port, line, "", "");
  EXPECT(bob, "event: stream-open\ndata: {\"channels\":[\"b\"]}\n");
  publish(hub, "b", "for bob");
  EXPECT(bob, "data: for bob\n");
  client *nobody = request_to(port, "GET /events/", "", "");
  EXPECT(nobody, "401 Unauthorized");
  EXPECT(nobody, "a ticket is needed");
  hang_up(bob);
  hang_up(nobody);
  OK(evs_server_close, server, PATIENCE_MS);
  evs_server_free(server);
  close_hub(hub);
}

int main(void) {
  RUN(whose_streams);
  RUN(who_is_there);
  RUN(one_user);
  RUN(by_token);
  RUN(by_keys_at_an_address);
  RUN(only_public);
  RUN(by_ticket);
  return 0;
}
