/*
 * A stream mounted in an event loop of your own: libevent reads and writes, and a ready queue, whose descriptor it watches, says
 * which streams have more to send. There is one thread and no lock.
 *
 *   curl -N http://127.0.0.1:8000/rooms/blue             reads a room
 *   curl -d 'hello' http://127.0.0.1:8000/rooms/blue     says something there
 *
 * PORT chooses the port (default 8000, 0 takes a free one).
 */
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <evstream.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { MAX_BODY_BYTES = 4096 };

static struct event_base *loop;
static evs_hub *hub;
static evs_ready_queue *queue;
static size_t open_streams;
static int is_stopping;

/* A stream while it is sent. */
typedef struct stream {
  struct evhttp_request *request;
  evs_reply *reply;
  int is_sending; /* a chunk is on its way: no more is read before it is out */
} stream;

static void send_text(struct evhttp_request *request, int status, const char *text) {
  struct evbuffer *body = evbuffer_new();
  evbuffer_add_printf(body, "%s", text);
  evhttp_send_reply(request, status, NULL, body);
  evbuffer_free(body);
}

/* Streams */

static void send_more(stream *self);

static void free_stream(stream *self) {
  evs_reply_free(self->reply); /* from here on the queue does not give it */
  free(self);
}

static void count_end(void) {
  open_streams--;
  if (is_stopping && open_streams == 0) event_base_loopexit(loop, NULL);
}

static void on_gone(struct evhttp_connection *connection, void *stream_) {
  stream *self = (stream *)stream_;
  (void)connection;
  if (evhttp_request_get_connection(self->request) == NULL) evhttp_request_free(self->request); /* which libevent leaves to us */
  free_stream(self);
  count_end();
}

static void on_complete(struct evhttp_request *request, void *unused) {
  (void)request, (void)unused;
  count_end();
}

static void on_sent(struct evhttp_connection *connection, void *stream_) {
  stream *self = (stream *)stream_;
  (void)connection;
  self->is_sending = 0;
  send_more(self);
}

/* One chunk at a time, and the next when the client's socket has taken it: so a slow client costs no memory here. */
static void send_more(stream *self) {
  evs_bytes chunk;
  if (self->is_sending) return;
  evs_status status = evs_reply_next(self->reply, 0, &chunk, NULL);
  if (status == EVS_STATUS_PENDING) return; /* the queue will give it */
  if (status == EVS_STATUS_OK) {
    struct evbuffer *bytes = evbuffer_new();
    evbuffer_add(bytes, chunk.ptr, chunk.len);
    self->is_sending = 1;
    evhttp_send_reply_chunk_with_cb(self->request, bytes, on_sent, self);
    evbuffer_free(bytes);
    return;
  }
  evhttp_connection_set_closecb(evhttp_request_get_connection(self->request), NULL, NULL);
  evhttp_request_set_on_complete_cb(self->request, on_complete, NULL);
  evhttp_send_reply_end(self->request);
  free_stream(self);
}

static void on_ready(evutil_socket_t fd, short what, void *unused) {
  (void)fd, (void)what, (void)unused;
  void *ready;
  while (evs_ready_queue_pop(queue, &ready)) send_more((stream *)ready);
}

static void start_stream(struct evhttp_request *request, evs_reply *reply) {
  stream *self = (stream *)calloc(1, sizeof *self);
  if (self == NULL || evs_reply_attach(reply, queue, self, NULL) != EVS_STATUS_OK) {
    evs_reply_free(reply);
    free(self);
    evhttp_send_error(request, 500, NULL);
    return;
  }
  self->request = request;
  self->reply = reply;
  open_streams++;
  evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_gone, self);
  evhttp_send_reply_start(request, (int)evs_reply_status(reply), NULL);
  send_more(self);
}

/* From libevent's request to evstream's. */

static const char *method_of(struct evhttp_request *request) {
  switch (evhttp_request_get_command(request)) {
  case EVHTTP_REQ_GET: return "GET";
  case EVHTTP_REQ_HEAD: return "HEAD";
  case EVHTTP_REQ_POST: return "POST";
  case EVHTTP_REQ_OPTIONS: return "OPTIONS";
  default: return "OTHER";
  }
}

static evs_request *copy_request(struct evhttp_request *from) {
  evs_request *request = NULL;
  if (evs_request_new(method_of(from), EVS_ZSTR, evhttp_request_get_uri(from), EVS_ZSTR, &request, NULL) != EVS_STATUS_OK) return NULL;
  struct evkeyval *header;
  TAILQ_FOREACH(header, evhttp_request_get_input_headers(from), next) {
    evs_request_add_header(request, header->key, EVS_ZSTR, header->value, EVS_ZSTR, NULL);
  }
  char *address;
  ev_uint16_t port;
  evhttp_connection_get_peer(evhttp_request_get_connection(from), &address, &port);
  evs_request_set_peer(request, address, EVS_ZSTR, NULL);
  return request;
}

static void read_room(struct evhttp_request *from, const char *channel) {
  evs_request *request = copy_request(from);
  evs_access *access = NULL;
  evs_reply *reply = NULL;
  evs_error *error = NULL;
  evs_str only = evs_str_z(channel);
  /* This is the place to ask who the client is, and whether it may read the room. */
  evs_status status = evs_access_new(&access, &error);
  if (status == EVS_STATUS_OK) status = evs_access_set_channels(access, &only, 1, &error);
  if (status == EVS_STATUS_OK) status = evs_hub_open(hub, request, access, &reply, &error);
  evs_request_free(request);
  evs_access_free(access);
  if (status != EVS_STATUS_OK) {
    send_text(from, 500, evs_error_message(error));
    evs_error_free(error);
    return;
  }
  evs_str name, value;
  for (size_t i = 0; evs_reply_header_at(reply, i, &name, &value); i++) {
    evhttp_add_header(evhttp_request_get_output_headers(from), name.ptr, value.ptr);
  }
  if (evs_reply_has_stream(reply)) {
    start_stream(from, reply);
    return;
  }
  evs_bytes whole = evs_reply_body(reply);
  struct evbuffer *body = evbuffer_new();
  evbuffer_add(body, whole.ptr, whole.len);
  evhttp_send_reply(from, (int)evs_reply_status(reply), NULL, body);
  evbuffer_free(body);
  evs_reply_free(reply);
}

static void say(struct evhttp_request *request, const char *channel) {
  evs_event event = EVS_EVENT_INIT;
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_error *error = NULL;
  struct evbuffer *body = evhttp_request_get_input_buffer(request);
  event.data.len = evbuffer_get_length(body);
  event.data.ptr = (const char *)evbuffer_pullup(body, -1);
  evs_status status = evs_hub_publish(hub, channel, EVS_ZSTR, &event, &receipt, &error);
  send_text(request, status == EVS_STATUS_OK ? 200 : 400, status == EVS_STATUS_OK ? receipt.position : evs_error_message(error));
  evs_error_free(error);
}

static void handle(struct evhttp_request *request, void *unused) {
  (void)unused;
  const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
  const char *room = strncmp(path, "/rooms/", 7) == 0 ? path + 7 : "";
  char channel[256];
  if (*room == '\0' || snprintf(channel, sizeof channel, "room-%s", room) >= (int)sizeof channel) {
    send_text(request, 404, "there are: GET and POST /rooms/NAME\n");
  } else if (evhttp_request_get_command(request) == EVHTTP_REQ_POST) {
    say(request, channel);
  } else {
    read_room(request, channel);
  }
}

/* Clients are asked to come back; the loop goes on until their last bytes are out, but not for those that do not read. */
static void on_stop(evutil_socket_t signal, short what, void *unused) {
  (void)signal, (void)what, (void)unused;
  const struct timeval patience = {2, 0};
  is_stopping = 1;
  evs_hub_close(hub, 2000, NULL, NULL); /* has all streams ready, for their last words */
  event_base_loopexit(loop, open_streams > 0 ? &patience : NULL);
}

int main(void) {
  evs_error *error = NULL;
  if (evs_hub_new(NULL, &hub, &error) != EVS_STATUS_OK || evs_ready_queue_new(&queue, &error) != EVS_STATUS_OK) {
    fprintf(stderr, "%s\n", evs_error_message(error));
    evs_error_free(error);
    return 1;
  }
  loop = event_base_new();
  struct event *ready = event_new(loop, evs_ready_queue_fd(queue), EV_READ | EV_PERSIST, on_ready, NULL);
  struct event *interrupt = evsignal_new(loop, SIGINT, on_stop, NULL), *terminate = evsignal_new(loop, SIGTERM, on_stop, NULL);
  event_add(ready, NULL);
  event_add(interrupt, NULL);
  event_add(terminate, NULL);

  struct evhttp *server = evhttp_new(loop);
  evhttp_set_max_body_size(server, MAX_BODY_BYTES);
  evhttp_set_gencb(server, handle, NULL);
  const char *port = getenv("PORT");
  struct evhttp_bound_socket *bound =
      evhttp_bind_socket_with_handle(server, "127.0.0.1", (ev_uint16_t)atoi(port != NULL ? port : "8000"));
  if (bound == NULL) perror("cannot listen");
  if (bound != NULL) {
    struct sockaddr_in address;
    socklen_t address_len = sizeof address;
    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &address_len);
    printf("Listening on http://127.0.0.1:%u/\n", ntohs(address.sin_port));
    fflush(stdout);
    event_base_dispatch(loop);
  }
  evhttp_free(server);
  event_free(ready);
  event_free(interrupt);
  event_free(terminate);
  event_base_free(loop);
  evs_ready_queue_free(queue);
  evs_hub_free(hub);
  return bound != NULL ? 0 : 1;
}
