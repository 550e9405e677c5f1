/* Runs the vectors in tests/vectors, which every language runs, through the C library.
 *
 * decode.json is for clients, and grip.json for what lies below this library. */
#include "check.h"
#include <jansson.h>

static const char *directory;

typedef struct app {
  evs_hub *hub;
  char epoch[9];
} app;

/* An object with no fields but these, which end with NULL. */
static const json_t *fields(const json_t *value, const char *const *known) {
  CHECK(json_is_object(value));
  const char *name;
  json_t *field;
  json_object_foreach((json_t *)value, name, field) {
    const char *const *entry = known;
    while (*entry != NULL && strcmp(*entry, name) != 0) entry++;
    if (*entry == NULL) {
      fprintf(stderr, "unknown field %s\n", name);
      abort();
    }
  }
  return value;
}

#define FIELDS(value, ...) fields(value, (const char *const[]){__VA_ARGS__, NULL})

static evs_str text(const json_t *value) {
  CHECK(json_is_string(value));
  evs_str view = {json_string_value(value), json_string_length(value)};
  return view;
}

static evs_str get_text(const json_t *object, const char *field) {
  return text(json_object_get(object, field));
}

/* A text that grows. */
typedef struct buffer {
  char *ptr;
  size_t len, capacity;
} buffer;

static void append(buffer *to, const void *bytes, size_t len) {
  if (to->len + len >= to->capacity) {
    to->capacity = 2 * (to->len + len) + 16;
    to->ptr = (char *)realloc(to->ptr, to->capacity);
    CHECK(to->ptr != NULL);
  }
  if (len > 0) memcpy(to->ptr + to->len, bytes, len);
  to->len += len;
  to->ptr[to->len] = '\0';
}

static evs_str view(buffer of) {
  evs_str view = {of.ptr, of.len};
  return view;
}

/* Fills in the templates of positions. */
static buffer fill(const app *in, evs_str from) {
  buffer filled = {NULL, 0, 0};
  append(&filled, "", 0);
  while (from.len > 0) {
    const char *open = (const char *)memmem(from.ptr, from.len, "{{", 2);
    size_t before = open == NULL ? from.len : (size_t)(open - from.ptr);
    append(&filled, from.ptr, before);
    if (open == NULL) break;
    const char *close = (const char *)memmem(open, from.len - before, "}}", 2);
    CHECK(close != NULL);
    char template[64], position[64];
    snprintf(template, sizeof template, "%.*s", (int)(close - open - 2), open + 2);
    unsigned long number;
    if (strcmp(template, "epoch") == 0) {
      snprintf(position, sizeof position, "%s", in->epoch);
    } else if (strcmp(template, "head") == 0) {
      evs_stats stats = EVS_STATS_INIT;
      OK(evs_hub_stats, in->hub, &stats);
      snprintf(position, sizeof position, "%s-%012lx", in->epoch, (unsigned long)stats.published);
    } else if (sscanf(template, "pos:%lu", &number) == 1) {
      snprintf(position, sizeof position, "%s-%012lx", in->epoch, number);
    } else if (sscanf(template, "other:%lu", &number) == 1) {
      snprintf(position, sizeof position, "%.7s%c-%012lx", in->epoch, in->epoch[7] == '0' ? '1' : '0', number);
    } else {
      fail(__FILE__, __LINE__, "unknown template");
    }
    append(&filled, position, strlen(position));
    from.len -= (size_t)(close + 2 - from.ptr);
    from.ptr = close + 2;
  }
  return filled;
}

static void check_same(evs_str got, evs_str expected) {
  if (got.len != expected.len || memcmp(got.ptr, expected.ptr, got.len) != 0) {
    fprintf(stderr, "got:\n%.*s\nexpected:\n%.*s\n", (int)got.len, got.ptr, (int)expected.len, expected.ptr);
    abort();
  }
}

static void check_filled(const app *in, evs_str got, const json_t *expected) {
  buffer filled = fill(in, text(expected));
  check_same(got, view(filled));
  free(filled.ptr);
}

static evs_request *make_request(const app *in, const char *method, evs_str target, const json_t *headers, const json_t *peer) {
  evs_request *request = NULL;
  OK(evs_request_new, method, strlen(method), target.ptr, target.len, &request);
  size_t i;
  json_t *header;
  json_array_foreach(headers, i, header) {
    evs_str name = text(json_array_get(header, 0));
    buffer value = fill(in, text(json_array_get(header, 1)));
    OK(evs_request_add_header, request, name.ptr, name.len, value.ptr, value.len);
    free(value.ptr);
  }
  if (peer != NULL && !json_is_null(peer)) OK(evs_request_set_peer, request, text(peer).ptr, text(peer).len);
  return request;
}

static evs_reply *open_target(const app *in, const char *method, evs_str target, const json_t *headers, const evs_access *access, const json_t *peer) {
  evs_request *request = make_request(in, method, target, headers, peer);
  evs_reply *reply = NULL;
  OK(evs_hub_open, in->hub, request, access, &reply);
  evs_request_free(request);
  return reply;
}

static app *new_app(const json_t *config) {
  app *made = (app *)calloc(1, sizeof *made);
  evs_config *settings = NULL;
  OK(evs_config_new, &settings);
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)config, name, value) {
    if (json_is_boolean(value)) {
      OK(evs_config_set_flag, settings, name, strlen(name), json_is_true(value));
    } else if (json_is_integer(value)) {
      OK(evs_config_set_integer, settings, name, strlen(name), (uint64_t)json_integer_value(value));
    } else if (json_is_string(value)) {
      OK(evs_config_set_text, settings, name, strlen(name), text(value).ptr, text(value).len);
    } else {
      evs_str values[16];
      CHECK(json_is_array(value) && json_array_size(value) <= 16);
      for (size_t i = 0; i < json_array_size(value); i++) values[i] = text(json_array_get(value, i));
      OK(evs_config_set_list, settings, name, strlen(name), values, json_array_size(value));
    }
  }
  OK(evs_hub_new, settings, &made->hub);
  evs_config_free(settings);
  evs_reply *reply = open_target(made, "GET", evs_str_z("/?channel=epoch"), NULL, everything(), NULL);
  evs_bytes body = evs_reply_body(reply);
  static const char id_line[] = "id: 01234567-0123456789ab\n\n"; /* the last of the first event */
  CHECK(body.len > sizeof id_line && memcmp(body.ptr + body.len - (sizeof id_line - 1), "id: ", 4) == 0);
  memcpy(made->epoch, body.ptr + body.len - (sizeof id_line - 1) + 4, 8);
  evs_reply_free(reply);
  return made;
}

static void free_app(app *done) {
  evs_hub_free(done->hub);
  free(done);
}

static evs_status publish_event(const app *to, evs_str channel, const json_t *value, evs_receipt *receipt, evs_error **error) {
  FIELDS(value, "name", "name_hex", "data", "data_hex", "data_repeat", "json", "retry_ms", "comment");
  evs_event event = EVS_EVENT_INIT;
  buffer data = {NULL, 0, 0};
  const json_t *json = json_object_get(value, "json"), *repeat = json_object_get(value, "data_repeat");
  const json_t *name = json_object_get(value, "name"), *comment = json_object_get(value, "comment"), *retry = json_object_get(value, "retry_ms");
  if (json != NULL) {
    char *dumped = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    append(&data, dumped, strlen(dumped));
    free(dumped);
  } else if (repeat != NULL) {
    for (json_int_t i = 0; i < json_integer_value(json_array_get(repeat, 1)); i++) {
      append(&data, text(json_array_get(repeat, 0)).ptr, text(json_array_get(repeat, 0)).len);
    }
  } else {
    append(&data, get_text(value, "data").ptr, get_text(value, "data").len);
  }
  event.data = view(data);
  if (name != NULL) event.name = text(name);
  if (comment != NULL) event.comment = text(comment);
  if (retry != NULL) {
    event.retry_ms = (uint64_t)json_integer_value(retry);
    event.has_retry = true;
  }
  evs_status status = evs_hub_publish(to->hub, channel.ptr, channel.len, &event, receipt, error);
  free(data.ptr);
  return status;
}

static void publish_all(const app *to, const json_t *pairs) {
  size_t i;
  json_t *pair;
  json_array_foreach(pairs, i, pair) {
    evs_event event = EVS_EVENT_INIT;
    event.data = text(json_array_get(pair, 1));
    evs_str channel = text(json_array_get(pair, 0));
    OK(evs_hub_publish, to->hub, channel.ptr, channel.len, &event, NULL);
  }
}

/* What the stream sends next, all of it. */
static buffer rest_of(evs_reply *reply) {
  buffer sent = {NULL, 0, 0};
  evs_bytes chunk;
  append(&sent, "", 0);
  evs_reply_skip_body(reply);
  while (evs_reply_next(reply, 0, &chunk, NULL) == EVS_STATUS_OK) append(&sent, chunk.ptr, chunk.len);
  return sent;
}

static void run_encode(const json_t *each) {
  FIELDS(each, "name", "event", "expected");
  app *in = new_app(NULL);
  evs_reply *reply = open_target(in, "GET", evs_str_z("/?channel=a"), NULL, everything(), NULL);
  CHECK(publish_event(in, evs_str_z("a"), json_object_get(each, "event"), NULL, NULL) == EVS_STATUS_OK);
  buffer sent = rest_of(reply);
  check_filled(in, view(sent), json_object_get(each, "expected"));
  free(sent.ptr);
  evs_reply_free(reply);
  free_app(in);
}

static buffer target_with(evs_str query) {
  buffer target = {NULL, 0, 0};
  append(&target, "/events/?", 9);
  append(&target, query.ptr, query.len);
  return target;
}

static void run_query(const json_t *each) {
  FIELDS(each, "name", "query", "expected");
  const json_t *expected = FIELDS(json_object_get(each, "expected"), "channels", "resumes", "error");
  app *in = new_app(NULL);
  buffer target = target_with(get_text(each, "query"));
  evs_reply *reply = open_target(in, "GET", view(target), NULL, everything(), NULL);
  evs_str body = as_text(evs_reply_body(reply));
  const char *data = (const char *)memmem(body.ptr, body.len, "data: ", 6);
  CHECK(data != NULL);
  json_t *told = json_loadb(data + 6, (size_t)((const char *)memchr(data, '\n', body.len - (size_t)(data - body.ptr)) - data - 6), JSON_ALLOW_NUL, NULL);
  const json_t *error = json_object_get(expected, "error");
  if (error != NULL) {
    CHECK(contains(body, "event: stream-error\n") && !contains(body, "stream-open"));
    CHECK_TEXT(get_text(told, "condition"), "bad-request");
    check_same(get_text(told, "text"), text(error));
  } else {
    CHECK(contains(body, "event: stream-open\n"));
    CHECK(contains(body, "event: stream-reset\n") == json_is_true(json_object_get(expected, "resumes")));
    CHECK(json_equal(json_object_get(told, "channels"), json_object_get(expected, "channels")));
  }
  json_decref(told);
  free(target.ptr);
  evs_reply_free(reply);
  free_app(in);
}

static void run_position(const json_t *each) {
  FIELDS(each, "name", "last_event_id", "via", "expected");
  const json_t *expected = FIELDS(json_object_get(each, "expected"), "at", "reset", "open_id", "stopped");
  app *in = new_app(NULL);
  for (int n = 1; n <= 12; n++) {
    char number[16];
    snprintf(number, sizeof number, "%d", n);
    publish(in->hub, "a", number);
  }
  buffer id = fill(in, get_text(each, "last_event_id")), target = target_with(evs_str_z("channel=a"));
  json_t *headers = NULL;
  if (contains(get_text(each, "via"), "query")) {
    append(&target, "&lastEventId=", 13);
    for (size_t i = 0; i < id.len; i++) {
      char encoded[4];
      snprintf(encoded, sizeof encoded, "%%%02x", (unsigned char)id.ptr[i]);
      append(&target, encoded, 3);
    }
  } else {
    headers = json_pack("[[s,s%]]", "Last-Event-ID", id.ptr, id.len);
  }
  evs_reply *reply = open_target(in, "GET", view(target), headers, everything(), NULL);
  evs_str body = as_text(evs_reply_body(reply));
  const json_t *at = json_object_get(expected, "at");
  if (json_object_get(expected, "stopped") != NULL) {
    CHECK(evs_reply_status(reply) == 400 && !evs_reply_has_stream(reply));
  } else {
    long after = at != NULL ? (long)json_integer_value(at) : 12;
    const char *open = "event: stream-open\ndata: {\"channels\":[\"a\"]}\n";
    char first[256];
    if (at != NULL) {
      snprintf(first, sizeof first, "%sid: %s-%012lx\n\n", open, in->epoch, after);
    } else {
      buffer open_id = fill(in, get_text(expected, "open_id"));
      snprintf(first, sizeof first, "%sid: %.*s\n\nevent: stream-reset\ndata: {\"channels\":[\"a\"],\"reason\":\"%s\"}\nid: %s-%012lx\n\n",
               open, (int)open_id.len, open_id.ptr, json_string_value(json_object_get(expected, "reset")), in->epoch, after);
      free(open_id.ptr);
    }
    check_same(body, evs_str_z(first));
    buffer sent = rest_of(reply), missed = {NULL, 0, 0};
    append(&missed, "", 0);
    for (long n = after + 1; n <= 12; n++) {
      char event[64];
      snprintf(event, sizeof event, "data: %ld\nid: %s-%012lx\n\n", n, in->epoch, n);
      append(&missed, event, strlen(event));
    }
    check_same(view(sent), view(missed));
    free(sent.ptr);
    free(missed.ptr);
  }
  json_decref(headers);
  free(id.ptr);
  free(target.ptr);
  evs_reply_free(reply);
  free_app(in);
}

static buffer from_hex(evs_str hex) {
  buffer bytes = {NULL, 0, 0};
  for (size_t i = 0; i + 1 < hex.len; i += 2) {
    char digits[3] = {hex.ptr[i], hex.ptr[i + 1], '\0'};
    char byte = (char)strtol(digits, NULL, 16);
    append(&bytes, &byte, 1);
  }
  return bytes;
}

/* Bytes that are no text, in one of the arguments. */
static void run_publish_of_bytes(const app *in, const json_t *each) {
  const json_t *channel_hex = json_object_get(each, "channel_hex"), *fields_of = json_object_get(each, "event");
  evs_event event = EVS_EVENT_INIT;
  event.data = evs_str_z("x");
  evs_str channel = evs_str_z("a");
  const json_t *hex[] = {channel_hex, json_object_get(fields_of, "name_hex"), json_object_get(fields_of, "data_hex")};
  evs_str *to[] = {&channel, &event.name, &event.data};
  for (int i = 0; i < 3; i++) {
    if (hex[i] == NULL) continue;
    buffer bytes = from_hex(text(hex[i]));
    *to[i] = view(bytes);
    evs_error *error = NULL;
    evs_hub_publish(in->hub, channel.ptr, channel.len, &event, NULL, &error);
    CHECK_TEXT(get_text(json_object_get(each, "expected"), "code"), evs_status_name(evs_error_status(error)));
    evs_error_free(error);
    free(bytes.ptr);
    return;
  }
  fail(__FILE__, __LINE__, "no bytes in it");
}

static void run_publish(const json_t *each) {
  FIELDS(each, "name", "config", "needs", "channel", "channel_hex", "event", "expected");
  const json_t *expected = FIELDS(json_object_get(each, "expected"), "position", "code", "text");
  app *in = new_app(json_object_get(each, "config"));
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_error *error = NULL;
  if (json_object_get(each, "needs") != NULL) {
    run_publish_of_bytes(in, each);
  } else if (publish_event(in, get_text(each, "channel"), json_object_get(each, "event"), &receipt, &error) == EVS_STATUS_OK) {
    check_filled(in, evs_str_z(receipt.position), json_object_get(expected, "position"));
    free_app(in);
    return;
  } else {
    CHECK_TEXT(get_text(expected, "code"), evs_status_name(evs_error_status(error)));
    check_same(evs_str_z(evs_error_message(error)), get_text(expected, "text"));
    evs_error_free(error);
  }
  evs_event good = EVS_EVENT_INIT; /* what was refused has left no trace */
  OK(evs_hub_publish, in->hub, EVS_LITERAL("a"), &good, &receipt);
  char first[32];
  snprintf(first, sizeof first, "%s-%012x", in->epoch, 1);
  CHECK(strcmp(receipt.position, first) == 0);
  free_app(in);
}

static evs_access *access_of(const json_t *value) {
  if (value != NULL) FIELDS(value, "channels", "forbid", "fail", "user");
  const json_t *channels = json_object_get(value, "channels"), *forbid = json_object_get(value, "forbid");
  const json_t *failed = json_object_get(value, "fail"), *user = json_object_get(value, "user");
  evs_access *access = NULL;
  OK(evs_access_new, &access);
  OK(evs_access_allow, access);
  if (channels != NULL) {
    evs_str names[2048];
    CHECK(json_array_size(channels) <= 2048);
    for (size_t i = 0; i < json_array_size(channels); i++) names[i] = text(json_array_get(channels, i));
    OK(evs_access_set_channels, access, names, json_array_size(channels));
  }
  if (forbid != NULL) OK(evs_access_forbid, access, text(forbid).ptr, text(forbid).len);
  if (failed != NULL) OK(evs_access_fail, access, text(failed).ptr, text(failed).len);
  if (user != NULL) OK(evs_access_set_user, access, text(user).ptr, text(user).len);
  return access;
}

static void run_proxies(const json_t *each) {
  FIELDS(each, "name", "config", "peer", "headers", "expected");
  app *in = new_app(json_object_get(each, "config"));
  const json_t *peer = json_object_get(each, "peer"), *expected = json_object_get(each, "expected");
  evs_request *request = make_request(in, "GET", evs_str_z("/events/?channel=a"), json_object_get(each, "headers"), peer);
  evs_reply *reply = NULL;
  OK(evs_hub_screen, in->hub, request, &reply);
  CHECK(reply == NULL);
  check_same(evs_request_peer(request), json_is_null(expected) ? evs_str_z("") : text(expected));
  evs_request_free(request);
  free_app(in);
}

static evs_jwt *jwt_of(const json_t *value) {
  FIELDS(value, "keys", "issuer", "audience", "cookie");
  evs_jwt *jwt = NULL;
  size_t i;
  json_t *item;
  json_array_foreach(json_object_get(value, "keys"), i, item) {
    if (i == 0) OK(evs_jwt_new, text(item).ptr, text(item).len, &jwt);
    else OK(evs_jwt_add_key, jwt, text(item).ptr, text(item).len);
  }
  json_array_foreach(json_object_get(value, "audience"), i, item) OK(evs_jwt_add_audience, jwt, text(item).ptr, text(item).len);
  const json_t *issuer = json_object_get(value, "issuer"), *cookie = json_object_get(value, "cookie");
  if (issuer != NULL) OK(evs_jwt_set_issuer, jwt, text(issuer).ptr, text(issuer).len);
  if (cookie != NULL) OK(evs_jwt_set_cookie, jwt, text(cookie).ptr, text(cookie).len);
  return jwt;
}

/* The data of the first event, up to the end of its line. */
static json_t *first_data(evs_str body) {
  const char *data = (const char *)memmem(body.ptr, body.len, "\ndata: ", 7);
  CHECK(data != NULL);
  data += 7;
  const char *end = (const char *)memchr(data, '\n', body.len - (size_t)(data - body.ptr));
  CHECK(end != NULL);
  json_t *read = json_loadb(data, (size_t)(end - data), 0, NULL);
  CHECK(read != NULL);
  return read;
}

static void run_tokens(const json_t *each) {
  FIELDS(each, "name", "by", "config", "jwt", "query", "headers", "expected");
  const json_t *expected = FIELDS(json_object_get(each, "expected"), "channels", "error", "status", "text", "challenge");
  app *in = new_app(json_object_get(each, "config"));
  evs_jwt *jwt = jwt_of(json_object_get(each, "jwt"));
  buffer target = {NULL, 0, 0};
  append(&target, "/events/?", 9);
  append(&target, get_text(each, "query").ptr, get_text(each, "query").len);
  evs_request *request = make_request(in, "GET", view(target), json_object_get(each, "headers"), NULL);
  evs_access *access = NULL;
  evs_reply *reply = NULL;
  OK(evs_access_new, &access);
  GIVES(EVS_STATUS_INVALID_ARGUMENT, evs_access_set_jwt, access, in->hub, jwt, request);
  OK(evs_hub_screen, in->hub, request, &reply);
  CHECK(reply == NULL);
  OK(evs_access_set_jwt, access, in->hub, jwt, request);
  OK(evs_hub_open, in->hub, request, access, &reply);
  evs_str body = as_text(evs_reply_body(reply));
  const json_t *status = json_object_get(expected, "status"), *channels = json_object_get(expected, "channels");
  if (status != NULL) {
    CHECK(evs_reply_status(reply) == (uint32_t)json_integer_value(status));
    evs_str told = {body.ptr, body.len - 1}, name = {NULL, 0}, value = {NULL, 0};
    check_same(told, get_text(expected, "text"));
    for (size_t i = 0; i < evs_reply_header_count(reply); i++) {
      CHECK(evs_reply_header_at(reply, i, &name, &value));
      if (contains(name, "WWW-Authenticate")) break;
    }
    check_same(value, get_text(expected, "challenge"));
    evs_stats stats = EVS_STATS_INIT;
    OK(evs_hub_stats, in->hub, &stats);
    CHECK(stats.tokens_refused == 1);
  } else {
    json_t *data = first_data(body);
    CHECK(contains(body, channels != NULL ? "event: stream-open\n" : "event: stream-error\n"));
    if (channels != NULL) CHECK(json_equal(json_object_get(data, "channels"), channels));
    else check_same(get_text(data, "text"), get_text(expected, "error"));
    json_decref(data);
  }
  evs_reply_free(reply);
  evs_access_free(access);
  evs_request_free(request);
  evs_jwt_free(jwt);
  free(target.ptr);
  free_app(in);
}

static void run_open(const json_t *each) {
  FIELDS(each, "name", "config", "published", "held", "closed", "request", "access", "published_after", "expected");
  const json_t *asked = FIELDS(json_object_get(each, "request"), "method", "path", "query", "headers", "peer");
  const json_t *expected = FIELDS(json_object_get(each, "expected"), "status", "headers", "body", "next");
  app *in = new_app(json_object_get(each, "config"));
  publish_all(in, json_object_get(each, "published"));
  buffer query = fill(in, get_text(asked, "query")), target = {NULL, 0, 0};
  append(&target, get_text(asked, "path").ptr, get_text(asked, "path").len);
  if (query.len > 0) append(&target, "?", 1);
  append(&target, query.ptr, query.len);
  evs_access *access = access_of(json_object_get(each, "access"));
  const char *method = get_text(asked, "method").ptr;
  evs_reply *held[8] = {NULL};
  json_int_t holding = json_integer_value(json_object_get(each, "held"));
  CHECK(holding <= 8);
  for (json_int_t i = 0; i < holding; i++) {
    held[i] = open_target(in, method, view(target), json_object_get(asked, "headers"), access, json_object_get(asked, "peer"));
    CHECK(evs_reply_has_stream(held[i]));
  }
  if (json_is_true(json_object_get(each, "closed"))) OK(evs_hub_close, in->hub, PATIENCE_MS, NULL);
  evs_reply *reply = open_target(in, method, view(target), json_object_get(asked, "headers"), access, json_object_get(asked, "peer"));
  check_filled(in, as_text(evs_reply_body(reply)), json_object_get(expected, "body"));
  CHECK(evs_reply_status(reply) == (uint32_t)json_integer_value(json_object_get(expected, "status")));
  const json_t *headers = json_object_get(expected, "headers");
  CHECK(evs_reply_header_count(reply) == json_array_size(headers));
  for (size_t i = 0; i < json_array_size(headers); i++) {
    evs_str name, value;
    CHECK(evs_reply_header_at(reply, i, &name, &value));
    check_same(name, text(json_array_get(json_array_get(headers, i), 0)));
    check_same(value, text(json_array_get(json_array_get(headers, i), 1)));
  }
  const json_t *next = json_object_get(expected, "next");
  CHECK(evs_reply_has_stream(reply) == !json_is_null(next));
  if (!json_is_null(next)) {
    buffer after = fill(in, text(next)); /* {{head}} is that of before */
    publish_all(in, json_object_get(each, "published_after"));
    buffer sent = rest_of(reply);
    check_same(view(sent), view(after));
    free(sent.ptr);
    free(after.ptr);
  }
  for (json_int_t i = 0; i < holding; i++) evs_reply_free(held[i]);
  evs_reply_free(reply);
  evs_access_free(access);
  free(query.ptr);
  free(target.ptr);
  free_app(in);
}

static void run_file(const char *name, void (*run)(const json_t *each)) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.json", directory, name);
  json_error_t error;
  json_t *file = json_load_file(path, JSON_ALLOW_NUL, &error);
  if (file == NULL) {
    fprintf(stderr, "%s: %s\n", path, error.text);
    abort();
  }
  const json_t *cases = json_object_get(FIELDS(file, "comment", "cases"), "cases");
  CHECK(json_array_size(cases) > 0);
  printf("%s: %zu cases\n", name, json_array_size(cases));
  alarm(4 * PATIENCE_MS / 1000);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *each = json_array_get(cases, i);
    fprintf(stderr, "case: %s\n", json_string_value(json_object_get(each, "name")));
    run(each);
  }
  json_decref(file);
}

int main(int argc, char **argv) {
  CHECK(argc == 2);
  directory = argv[1];
  run_file("encode", run_encode);
  run_file("query", run_query);
  run_file("position", run_position);
  run_file("publish", run_publish);
  run_file("proxies", run_proxies);
  run_file("tokens", run_tokens);
  run_file("open", run_open);
  return 0;
}
