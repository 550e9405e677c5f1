/*
 * A stream mounted in a server of your own, by reading it: libmicrohttpd writes the bytes, and a ready queue says when there are
 * more. One thread runs both, so nothing needs a lock.
 *
 *   curl -N http://127.0.0.1:8000/rooms/blue             reads a room
 *   curl -d 'hello' http://127.0.0.1:8000/rooms/blue     says something there
 *
 * PORT chooses the port (default 8000, 0 takes a free one).
 */
#include <evstream.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>

enum { MAX_BODY_BYTES = 4096, BLOCK_BYTES = 16384, LAST_BYTES_MS = 2000 };

static evs_hub *hub;
static evs_ready_queue *queue;
static size_t open_streams;

/* A request while it is read. */
typedef struct incoming {
  char *target; /* as it came, percent-encoded */
  int is_begun;
  size_t body_len;
  char body[MAX_BODY_BYTES];
} incoming;

/* A stream while it is sent. */
typedef struct stream {
  struct MHD_Connection *connection;
  evs_reply *reply;
  evs_bytes rest; /* of the last chunk */
} stream;

static struct MHD_Response *text_response(const char *text) {
  return MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
  if (response == NULL) return MHD_NO;
  enum MHD_Result queued = MHD_queue_response(connection, status, response);
  MHD_destroy_response(response);
  return queued;
}

/* Streams */

/* libmicrohttpd asks only when the socket takes more, so what a slow client has not read stays in evstream's log. */
static ssize_t read_more(void *cls, uint64_t position, char *buffer, size_t max) {
  stream *sent = (stream *)cls;
  (void)position;
  if (sent->rest.len == 0) {
    switch (evs_reply_next(sent->reply, 0, &sent->rest, NULL)) {
    case EVS_STATUS_OK: break;
    case EVS_STATUS_PENDING:
      MHD_suspend_connection(sent->connection); /* until the queue gives it to the loop in main */
      return 0;
    case EVS_STATUS_ENDED: return MHD_CONTENT_READER_END_OF_STREAM;
    default: return MHD_CONTENT_READER_END_WITH_ERROR;
    }
  }
  size_t len = sent->rest.len < max ? sent->rest.len : max;
  memcpy(buffer, sent->rest.ptr, len);
  sent->rest.ptr += len;
  sent->rest.len -= len;
  return (ssize_t)len;
}

static void end_stream(void *cls) {
  stream *ended = (stream *)cls;
  evs_reply_free(ended->reply); /* from here on the queue does not give it */
  free(ended);
  open_streams--;
}

static struct MHD_Response *stream_response(struct MHD_Connection *connection, evs_reply *reply) {
  stream *made = (stream *)calloc(1, sizeof *made);
  if (made == NULL || evs_reply_attach(reply, queue, made, NULL) != EVS_STATUS_OK) {
    evs_reply_free(reply);
    free(made);
    return NULL;
  }
  made->connection = connection;
  made->reply = reply;
  open_streams++;
  struct MHD_Response *response =
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_more, made, end_stream);
  if (response == NULL) end_stream(made);
  return response;
}

/* From libmicrohttpd's request to evstream's. */

static enum MHD_Result copy_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
                                   size_t value_len) {
  (void)kind;
  evs_status status = evs_request_add_header((evs_request *)cls, name, name_len, value, value_len, NULL);
  return status == EVS_STATUS_OK ? MHD_YES : MHD_NO;
}

static evs_request *copy_request(struct MHD_Connection *connection, const char *method, const char *target) {
  evs_request *request = NULL;
  if (evs_request_new(method, EVS_ZSTR, target, EVS_ZSTR, &request, NULL) != EVS_STATUS_OK) return NULL;
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, copy_header, request);
  const struct sockaddr *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
  socklen_t peer_len = peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  char address[NI_MAXHOST];
  if (getnameinfo(peer, peer_len, address, sizeof address, NULL, 0, NI_NUMERICHOST) == 0) {
    evs_request_set_peer(request, address, EVS_ZSTR, NULL);
  }
  return request;
}

static enum MHD_Result read_room(struct MHD_Connection *connection, const char *method, const char *target, const char *channel) {
  evs_request *request = copy_request(connection, method, target);
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
    struct MHD_Response *response = text_response(evs_error_message(error));
    evs_error_free(error);
    return answer(connection, 500, response);
  }
  unsigned code = evs_reply_status(reply);
  evs_str names[32], values[32];
  size_t headers = 0; /* they live as long as the reply, which the response owns from now on */
  while (headers < 32 && evs_reply_header_at(reply, headers, &names[headers], &values[headers])) headers++;
  struct MHD_Response *response = stream_response(connection, reply);
  for (size_t i = 0; response != NULL && i < headers; i++) MHD_add_response_header(response, names[i].ptr, values[i].ptr);
  return answer(connection, code, response);
}

static enum MHD_Result say(struct MHD_Connection *connection, const incoming *said, const char *channel) {
  evs_event event = EVS_EVENT_INIT;
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_error *error = NULL;
  event.data.ptr = said->body;
  event.data.len = said->body_len;
  evs_status status = evs_hub_publish(hub, channel, EVS_ZSTR, &event, &receipt, &error);
  struct MHD_Response *response = text_response(status == EVS_STATUS_OK ? receipt.position : evs_error_message(error));
  evs_error_free(error);
  return answer(connection, status == EVS_STATUS_OK ? 200 : 400, response);
}

/* The server */

static void *begin(void *cls, const char *target, struct MHD_Connection *connection) {
  (void)cls, (void)connection;
  incoming *made = (incoming *)calloc(1, sizeof *made);
  if (made != NULL) made->target = strdup(target);
  return made;
}

static void end(void *cls, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode why) {
  (void)cls, (void)connection, (void)why;
  incoming *ended = (incoming *)*request;
  if (ended != NULL) free(ended->target);
  free(ended);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *body, size_t *body_len, void **request) {
  incoming *read = (incoming *)*request;
  (void)cls, (void)version;
  if (read == NULL || read->target == NULL) return MHD_NO;
  if (!read->is_begun) { /* libmicrohttpd calls at the head, with each part of the body, and at the end */
    read->is_begun = 1;
    return MHD_YES;
  }
  if (*body_len > 0) {
    if (*body_len > sizeof read->body - read->body_len) return MHD_NO;
    memcpy(read->body + read->body_len, body, *body_len);
    read->body_len += *body_len;
    *body_len = 0;
    return MHD_YES;
  }
  char channel[256];
  const char *room = strncmp(path, "/rooms/", 7) == 0 ? path + 7 : "";
  if (*room == '\0' || snprintf(channel, sizeof channel, "room-%s", room) >= (int)sizeof channel) {
    return answer(connection, 404, text_response("there are: GET and POST /rooms/NAME\n"));
  }
  if (strcmp(method, "POST") != 0) return read_room(connection, method, read->target, channel);
  return say(connection, read, channel);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Runs libmicrohttpd, and wakes the streams that are ready; until a signal comes, or for a while until all streams have ended. */
static void run(struct MHD_Daemon *server, int signals, int64_t deadline_ms) {
  struct pollfd fds[] = {{MHD_get_daemon_info(server, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, POLLIN, 0},
                         {evs_ready_queue_fd(queue), POLLIN, 0},
                         {signals, POLLIN, 0}};
  while (deadline_ms == 0 ? fds[2].revents == 0 : open_streams > 0 && now_ms() < deadline_ms) {
    MHD_UNSIGNED_LONG_LONG due_ms;
    int wait_ms = deadline_ms == 0 ? -1 : 50;
    if (MHD_get_timeout(server, &due_ms) == MHD_YES && (wait_ms < 0 || due_ms < (unsigned)wait_ms)) wait_ms = (int)due_ms;
    poll(fds, 3, wait_ms);
    void *ready;
    while (evs_ready_queue_pop(queue, &ready)) MHD_resume_connection(((stream *)ready)->connection);
    MHD_run(server);
  }
}

int main(void) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);
  int signals = signalfd(-1, &stop, SFD_CLOEXEC);

  evs_error *error = NULL;
  if (evs_hub_new(NULL, &hub, &error) != EVS_STATUS_OK || evs_ready_queue_new(&queue, &error) != EVS_STATUS_OK) {
    fprintf(stderr, "%s\n", evs_error_message(error));
    evs_error_free(error);
    return 1;
  }
  const char *port = getenv("PORT");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port != NULL ? port : "8000"))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct MHD_Daemon *server =
      MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, &address,
                       MHD_OPTION_URI_LOG_CALLBACK, begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, end, NULL, MHD_OPTION_END);
  if (server == NULL) perror("cannot listen");
  if (server != NULL) {
    printf("Listening on http://127.0.0.1:%u/\n", MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    run(server, signals, 0);
  }
  evs_hub_close(hub, 2000, NULL, NULL); /* has all streams ready, for their last words */
  if (server != NULL) {
    run(server, signals, now_ms() + LAST_BYTES_MS); /* what is not sent when the server stops is cut off */
    MHD_stop_daemon(server);
  }
  evs_ready_queue_free(queue);
  evs_hub_free(hub);
  return server != NULL ? 0 : 1;
}
