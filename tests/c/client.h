/* A client that speaks HTTP over a plain socket, and waits no longer than it must. */
#ifndef CLIENT_H
#define CLIENT_H

#include "check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A connection, and all that has come on it. */
typedef struct client {
  int fd;
  int is_over;
  size_t len;
  char text[65536];
} client;

static inline client *client_on(int fd) {
  client *made = (client *)calloc(1, sizeof *made);
  CHECK(made != NULL);
  made->fd = fd;
  return made;
}

static inline int dial(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(fd >= 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static inline void send_all(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
    CHECK(sent > 0);
    text += sent;
    len -= (size_t)sent;
  }
}

/* Sends a request: its first line without the version, and headers that end with CRLF each. */
static inline client *request_to(uint16_t port, const char *line, const char *headers, const char *body) {
  int fd = dial(port);
  CHECK(fd >= 0);
  char head[4096];
  int len = snprintf(head, sizeof head, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n", line, strlen(body), headers);
  CHECK(len > 0 && (size_t)len < sizeof head);
  send_all(fd, head, (size_t)len);
  send_all(fd, body, strlen(body));
  return client_on(fd);
}

static inline client *get(uint16_t port, const char *target) {
  char line[2048];
  snprintf(line, sizeof line, "GET %s", target);
  return request_to(port, line, "", "");
}

/* Reads what comes next; false at the end. */
static inline int read_more(client *from) {
  if (from->is_over) return 0;
  struct pollfd wait = {.fd = from->fd, .events = POLLIN};
  CHECK(poll(&wait, 1, PATIENCE_MS) == 1);
  CHECK(from->len + 1 < sizeof from->text);
  ssize_t got = recv(from->fd, from->text + from->len, sizeof from->text - 1 - from->len, 0);
  if (got <= 0) {
    from->is_over = 1;
    return 0;
  }
  from->len += (size_t)got;
  return 1;
}

/* Reads until a text has come. */
#define EXPECT(from, part)                                                                               \
  do {                                                                                                   \
    while (strstr((from)->text, part) == NULL) {                                                         \
      if (!read_more(from)) {                                                                            \
        fprintf(stderr, "%s:%d: no \"%s\" in: %s\n", __FILE__, __LINE__, part, (from)->text);             \
        abort();                                                                                         \
      }                                                                                                  \
    }                                                                                                    \
  } while (0)

/* Reads to the end, which must come. */
static inline void read_all(client *from) {
  while (read_more(from)) {
  }
}

static inline void hang_up(client *done) {
  close(done->fd);
  free(done);
}

/* A connected pair of sockets. */
static inline void socket_pair(int fds[2]) {
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
}

#endif
