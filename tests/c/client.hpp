/* What the C++ tests share: checks, waiting, and a client. */
#ifndef CLIENT_HPP
#define CLIENT_HPP

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

inline void check(bool condition, const char *what) {
  if (condition) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

/** Waits until a condition holds that others bring about. */
template <class Condition>
void await(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    check(std::chrono::steady_clock::now() < deadline, "it came in time");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/** Reads until a text has come. */
inline void read_until(int fd, std::string_view part) {
  std::string got;
  while (got.find(part) == std::string::npos) {
    pollfd wait{fd, POLLIN, 0};
    char some[4096];
    const bool came = poll(&wait, 1, 60000) == 1;
    const ssize_t len = came ? recv(fd, some, sizeof some, 0) : -1;
    if (len <= 0) {
      std::fprintf(stderr, "no \"%.*s\" in: %s\n", static_cast<int>(part.size()), part.data(), got.c_str());
      std::abort();
    }
    got.append(some, static_cast<std::size_t>(len));
  }
}

/** Sends a request, and reads until a text has come. */
inline void expect(std::uint16_t port, const std::string &line, const std::string &headers, std::string_view part) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  check(connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0, "it listens");
  const std::string request = line + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
  check(send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()), "it was sent");
  read_until(fd, part);
  close(fd);
}

/** A connected pair of sockets. */
class Pipe {
 public:
  Pipe() { check(socketpair(AF_UNIX, SOCK_STREAM, 0, fds_) == 0, "a pair"); }
  Pipe(const Pipe &) = delete;
  Pipe &operator=(const Pipe &) = delete;
  ~Pipe() { close(fds_[0]); }

  int far() const { return fds_[1]; }
  void close_far() { close(fds_[1]); }
  void expect(std::string_view part) { read_until(fds_[0], part); }

 private:
  int fds_[2];
};

#endif
