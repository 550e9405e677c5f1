/*
 * The clock demo in C: a page, a stream at /events/, and a form that publishes messages, all by evstream's own server.
 *
 * PORT chooses the port (default 8000, 0 takes a free one). GRIP_URL names a GRIP proxy in front, if there is one. It needs
 * jansson for the JSON that is posted.
 */
#include <evstream.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Where the page is; the Makefile says it. */
#ifndef PAGE
#define PAGE "../page"
#endif

typedef struct file {
  const char *path, *name, *type;
} file;

static const file FILES[] = {
    {"/", "index.html", "text/html; charset=utf-8"},        {"/style.css", "style.css", "text/css; charset=utf-8"},
    {"/app.js", "app.js", "text/javascript; charset=utf-8"}, {"/log.js", "log.js", "text/javascript; charset=utf-8"},
    {"/stream.js", "stream.js", "text/javascript; charset=utf-8"},
};

static evs_status start(evs_hub **hub, evs_server **server, evs_error **error);
static evs_status tick(evs_hub *hub, evs_error **error);
static void respond(void *user_data, const evs_request *request, evs_response *response);

int main(void) {
  /* Before there are other threads, so that none of them is interrupted instead. */
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);

  evs_hub *hub = NULL;
  evs_server *server = NULL;
  evs_error *error = NULL;
  evs_status status = start(&hub, &server, &error);
  if (status == EVS_STATUS_OK) {
    const char *address = evs_server_address(server).ptr;
    printf("Listening on http://%s/\n", address);
    printf("Try: curl -N 'http://%s/events/?channel=clock'\n", address);
    fflush(stdout);
    const struct timespec second = {.tv_sec = 1};
    do status = tick(hub, &error);
    while (status == EVS_STATUS_OK && sigtimedwait(&stop, NULL, &second) < 0);
  }
  if (status != EVS_STATUS_OK) fprintf(stderr, "%s\n", evs_error_message(error));
  evs_error_free(error);
  evs_hub_close(hub, 2000, NULL, NULL); /* clients are asked to come back */
  evs_server_free(server);
  evs_hub_free(hub);
  return status == EVS_STATUS_OK ? 0 : 1;
}

static evs_status start(evs_hub **hub, evs_server **server, evs_error **error) {
  evs_config *config = NULL;
  evs_status status = evs_config_new(&config, error);
  if (status == EVS_STATUS_OK) status = evs_config_grip_from_env(config, error);
  if (status == EVS_STATUS_OK) status = evs_hub_new(config, hub, error);
  evs_config_free(config);
  if (status == EVS_STATUS_OK) status = evs_server_new(*hub, server, error);
  /* The stream itself: clients choose the channels with ?channel=. */
  if (status == EVS_STATUS_OK) status = evs_server_mount(*server, EVS_LITERAL("/events/"), error);
  if (status == EVS_STATUS_OK) status = evs_server_fallback(*server, respond, *hub, NULL, error);
  if (status != EVS_STATUS_OK) return status;
  const char *port = getenv("PORT");
  char address[64];
  snprintf(address, sizeof address, "127.0.0.1:%s", port != NULL ? port : "8000");
  return evs_server_listen(*server, address, strlen(address), error);
}

/* Publishes an object with one member, as JSON. */
static evs_status publish(evs_hub *hub, const char *channel, const char *name, json_t *object,
                          evs_receipt *receipt, evs_error **error) {
  char *data = json_dumps(object, JSON_COMPACT);
  evs_event event = EVS_EVENT_INIT;
  event.name = evs_str_z(name);
  event.data = evs_str_z(data);
  evs_status status = evs_hub_publish(hub, channel, strlen(channel), &event, receipt, error);
  free(data);
  json_decref(object);
  return status;
}

static evs_status tick(evs_hub *hub, evs_error **error) {
  struct timespec now;
  struct tm utc;
  char second[32], text[64];
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text, sizeof text, "%s.%03ldZ", second, now.tv_nsec / 1000000);
  return publish(hub, "clock", "time", json_pack("{s:s}", "time", text), NULL, error);
}

static int is(evs_str text, const char *other) {
  return text.len == strlen(other) && memcmp(text.ptr, other, text.len) == 0;
}

static void answer(evs_response *response, unsigned status, const char *type, const void *body, size_t body_len) {
  evs_response_set_status(response, status, NULL);
  evs_response_add_header(response, EVS_LITERAL("Content-Type"), type, strlen(type), NULL);
  evs_response_add_header(response, EVS_LITERAL("Cache-Control"), EVS_LITERAL("no-cache"), NULL);
  evs_response_set_body(response, body, body_len, NULL);
}

static void answer_json(evs_response *response, unsigned status, const char *name, const char *text) {
  json_t *object = json_pack("{s:s}", name, text);
  char *body = json_dumps(object, JSON_COMPACT);
  answer(response, status, "application/json", body, strlen(body));
  free(body);
  json_decref(object);
}

/* Publishes what was posted. */
static void publish_message(evs_hub *hub, const evs_request *request, evs_response *response) {
  evs_bytes body = evs_request_body(request);
  json_t *posted = json_loadb((const char *)body.ptr, body.len, 0, NULL);
  json_t *text = json_object_get(posted, "text");
  if (json_string_length(text) == 0) {
    answer_json(response, 400, "error", "a message is a JSON object with a \"text\" that is not empty");
  } else {
    evs_receipt receipt = EVS_RECEIPT_INIT;
    evs_error *error = NULL;
    evs_status status = publish(hub, "messages", "message", json_pack("{s:O}", "text", text), &receipt, &error);
    if (status == EVS_STATUS_OK) answer_json(response, 200, "id", receipt.position);
    else answer_json(response, 400, "error", evs_error_message(error));
    evs_error_free(error);
  }
  json_decref(posted);
}

static void send_file(const file *asked, evs_response *response) {
  char path[4096];
  struct stat about;
  snprintf(path, sizeof path, "%s/%s", PAGE, asked->name);
  FILE *stream = fopen(path, "rb");
  char *body = stream != NULL && fstat(fileno(stream), &about) == 0 ? (char *)malloc((size_t)about.st_size + 1) : NULL;
  if (body != NULL) {
    answer(response, 200, asked->type, body, fread(body, 1, (size_t)about.st_size, stream));
  } else {
    perror(path);
    evs_response_set_status(response, 500, NULL);
  }
  free(body);
  if (stream != NULL) fclose(stream);
}

/* Whatever is asked for but the stream. Several threads may be here at the same time. */
static void respond(void *user_data, const evs_request *request, evs_response *response) {
  evs_str method = evs_request_method(request), path = evs_request_path(request);
  if (is(method, "POST") && is(path, "/messages/")) {
    publish_message((evs_hub *)user_data, request, response);
  } else if (is(method, "GET")) {
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
      if (is(path, FILES[i].path)) send_file(&FILES[i], response);
    }
  }
}
