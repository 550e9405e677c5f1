/*
 * A stream mounted in a server of your own, by pulling: libmicrohttpd writes the bytes, and evstream says when there are more.
 *
 *   curl -N http://127.0.0.1:8000/rooms/blue             reads a room
 *   curl -d 'hello' http://127.0.0.1:8000/rooms/blue     says something there
 *
 * PORT chooses the port (default 8000, 0 takes a free one). One thread serves all streams.
 */
#include <evstream.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BODY_BYTES = 4096, BLOCK_BYTES = 16384 };

/* A request while it is read. */
typedef struct incoming {
  char *target; /* as it came, percent-encoded */
  int is_begun;
  size_t body_len;
  char body[MAX_BODY_BYTES];
} incoming;

/* A stream while it is sent: of libmicrohttpd's thread, and of the callback that wakes it. */
typedef struct stream {
  pthread_mutex_t lock;
  int users;
  struct MHD_Connection *connection; /* NULL when it is gone; guarded by the lock, as is users */
  evs_reply *reply;
  evs_bytes rest; /* of the last chunk */
} stream;

/* The streams that are open, for the end of the program. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t none_open = PTHREAD_COND_INITIALIZER;
static size_t open_streams;

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

static void count_open(int change) {
  pthread_mutex_lock(&open_lock);
  open_streams += (size_t)change;
  if (open_streams == 0) pthread_cond_signal(&none_open);
  pthread_mutex_unlock(&open_lock);
}

/* Waits until libmicrohttpd has sent the last bytes of all streams, but not for clients that do not read. */
static void await_ends(int timeout_s) {
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += timeout_s;
  pthread_mutex_lock(&open_lock);
  while (open_streams > 0 && pthread_cond_timedwait(&none_open, &open_lock, &deadline) == 0) continue;
  pthread_mutex_unlock(&open_lock);
}

static void let_go(void *user_data) {
  stream *left = (stream *)user_data;
  pthread_mutex_lock(&left->lock);
  int users = --left->users;
  pthread_mutex_unlock(&left->lock);
  if (users > 0) return;
  pthread_mutex_destroy(&left->lock);
  free(left);
}

/* Runs on a thread of evstream's. */
static void wake(void *user_data) {
  stream *waiting = (stream *)user_data;
  pthread_mutex_lock(&waiting->lock);
  if (waiting->connection != NULL) MHD_resume_connection(waiting->connection);
  pthread_mutex_unlock(&waiting->lock);
}

static ssize_t read_more(void *cls, uint64_t position, char *buffer, size_t max) {
  stream *sent = (stream *)cls;
  (void)position;
  if (sent->rest.len == 0) {
    pthread_mutex_lock(&sent->lock);
    sent->users++; /* given back by let_go, whatever becomes of the call */
    pthread_mutex_unlock(&sent->lock);
    switch (evs_reply_poll(sent->reply, &sent->rest, wake, sent, let_go, NULL)) {
    case EVS_STATUS_OK: break;
    case EVS_STATUS_PENDING:
      MHD_suspend_connection(sent->connection); /* nothing happens if wake was quicker: it is called again */
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
  pthread_mutex_lock(&ended->lock);
  ended->connection = NULL;
  pthread_mutex_unlock(&ended->lock);
  evs_reply_free(ended->reply);
  let_go(ended);
  count_open(-1);
}

static struct MHD_Response *stream_response(struct MHD_Connection *connection, evs_reply *reply) {
  stream *made = (stream *)calloc(1, sizeof *made);
  if (made == NULL) {
    evs_reply_free(reply);
    return NULL;
  }
  pthread_mutex_init(&made->lock, NULL);
  made->users = 1;
  made->connection = connection;
  made->reply = reply;
  count_open(+1);
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
  if (evs_request_new(method, strlen(method), target, strlen(target), &request, NULL) != EVS_STATUS_OK) return NULL;
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, copy_header, request);
  const struct sockaddr *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
  socklen_t peer_len = peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  char address[NI_MAXHOST];
  if (getnameinfo(peer, peer_len, address, sizeof address, NULL, 0, NI_NUMERICHOST) == 0) {
    evs_request_set_peer(request, address, strlen(address), NULL);
  }
  return request;
}

static enum MHD_Result read_room(const evs_events *events, struct MHD_Connection *connection, const char *method,
                                 const char *target, const char *channel) {
  evs_request *request = copy_request(connection, method, target);
  evs_access *access = NULL;
  evs_reply *reply = NULL;
  evs_error *error = NULL;
  evs_str only = evs_str_z(channel);
  /* This is the place to ask who the client is, and whether it may read the room. */
  evs_status status = evs_access_new(&access, &error);
  if (status == EVS_STATUS_OK) status = evs_access_set_channels(access, &only, 1, &error);
  if (status == EVS_STATUS_OK) status = evs_events_open(events, request, access, &reply, &error);
  evs_request_free(request);
  evs_access_free(access);
  if (status != EVS_STATUS_OK) {
    struct MHD_Response *response = text_response(evs_error_message(error));
    evs_error_free(error);
    return answer(connection, status == EVS_STATUS_CLOSED ? 503 : 500, response);
  }
  unsigned code = evs_reply_status(reply);
  evs_str names[32], values[32];
  size_t headers = 0; /* they live as long as the reply, which the response owns from now on */
  while (headers < 32 && evs_reply_header_at(reply, headers, &names[headers], &values[headers])) headers++;
  struct MHD_Response *response = stream_response(connection, reply);
  for (size_t i = 0; response != NULL && i < headers; i++) MHD_add_response_header(response, names[i].ptr, values[i].ptr);
  return answer(connection, code, response);
}

static enum MHD_Result say(const evs_events *events, struct MHD_Connection *connection, const incoming *said,
                           const char *channel) {
  evs_event event = EVS_EVENT_INIT;
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_error *error = NULL;
  event.data.ptr = said->body;
  event.data.len = said->body_len;
  evs_status status = evs_events_publish(events, channel, strlen(channel), &event, &receipt, &error);
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
  const evs_events *events = (const evs_events *)cls;
  incoming *read = (incoming *)*request;
  (void)version;
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
  if (strcmp(method, "POST") != 0) return read_room(events, connection, method, read->target, channel);
  return say(events, connection, read, channel);
}

int main(void) {
  /* Before there are other threads, so that none of them is interrupted instead. */
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);

  evs_events *events = NULL;
  evs_error *error = NULL;
  if (evs_events_new(NULL, &events, &error) != EVS_STATUS_OK) {
    fprintf(stderr, "%s\n", evs_error_message(error));
    evs_error_free(error);
    return 1;
  }
  const char *port = getenv("PORT");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port != NULL ? port : "8000"))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct MHD_Daemon *server = MHD_start_daemon(
      MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, events,
      MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_URI_LOG_CALLBACK, begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, end, NULL,
      MHD_OPTION_END);
  if (server == NULL) perror("cannot listen");
  if (server != NULL) {
    printf("Listening on http://127.0.0.1:%u/\n", MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    int signal;
    sigwait(&stop, &signal);
  }
  evs_events_close(events, 2000, NULL, NULL); /* wakes all streams, for their last words */
  await_ends(2); /* what is not sent when the server stops is cut off */
  if (server != NULL) MHD_stop_daemon(server);
  evs_events_free(events);
  return server != NULL ? 0 : 1;
}
