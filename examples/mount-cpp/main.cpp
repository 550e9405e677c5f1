// A stream mounted in a server of your own, by adoption: Boost.Beast reads the request and sends the head, and then the
// socket moves to evstream. A stream costs the server nothing from then on.
//
//   curl -N http://127.0.0.1:8000/rooms/blue             reads a room
//   curl -d 'hello' http://127.0.0.1:8000/rooms/blue     says something there
//
// PORT chooses the port (default 8000, 0 takes a free one).
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdlib>
#include <evstream.hpp>
#include <iostream>
#include <unistd.h>

namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;

constexpr std::size_t max_body_bytes = 4096;
constexpr auto patience = std::chrono::seconds(10);

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// One connection, which brings one request.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(const evstream::Events &events, tcp::socket socket) : events_(events), stream_(std::move(socket)) {}

  void run() {
    parser_.body_limit(max_body_bytes);
    stream_.expires_after(patience);
    http::async_read(stream_, buffer_, parser_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (!error) self->handle();
    });
  }

 private:
  void handle() try {
    const auto target = view(parser_.get().target());
    const std::string_view rooms = "/rooms/";
    const auto room = target.substr(0, target.find('?'));
    if (room.size() <= rooms.size() || room.substr(0, rooms.size()) != rooms) {
      return answer(http::status::not_found, "there are: GET and POST /rooms/NAME\n");
    }
    const auto channel = "room-" + std::string(room.substr(rooms.size()));
    if (parser_.get().method() != http::verb::post) return read_room(channel);
    answer(http::status::ok, events_.publish(channel, evstream::Event(parser_.get().body())).position);
  } catch (const evstream::Error &error) {
    answer(http::status::bad_request, error.what());
  } catch (const std::exception &error) {
    std::cerr << error.what() << "\n"; // the client is gone
  }

  void read_room(const std::string &channel) {
    const auto &read = parser_.get();
    evstream::Request request(view(read.method_string()), view(read.target()));
    for (const auto &field : read) request.add_header(view(field.name_string()), view(field.value()));
    request.set_peer(stream_.socket().remote_endpoint().address().to_string());
    // This is the place to ask who the client is, and whether it may read the room.
    auto reply = events_.open(request, evstream::Access::channels({channel}));

    const auto framing = read.version() >= 11 ? EVS_FRAMING_CHUNKED : EVS_FRAMING_CLOSE;
    net::write(stream_.socket(), net::buffer(reply.head(framing)));
    if (!reply.has_stream()) {
      net::write(stream_.socket(), net::buffer(reply.body()));
      return;
    }
    // Released, not closed: the event loop would keep watching a socket that lives on elsewhere.
    const int fd = stream_.release_socket().release();
    try {
      reply.adopt(fd, framing);
    } catch (const evstream::Error &error) {
      std::cerr << error.what() << "\n"; // the head is out, so all that is left is to hang up
    }
    ::close(fd);
  }

  void answer(http::status status, std::string body) {
    auto response = std::make_shared<http::response<http::string_body>>(status, parser_.get().version(), std::move(body));
    response->set(http::field::content_type, "text/plain; charset=utf-8");
    response->keep_alive(false);
    response->prepare_payload();
    http::async_write(stream_, *response, [self = shared_from_this(), response](beast::error_code, std::size_t) {});
  }

  const evstream::Events &events_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request_parser<http::string_body> parser_;
};

void accept(const evstream::Events &events, tcp::acceptor &acceptor) {
  acceptor.async_accept([&](beast::error_code error, tcp::socket socket) {
    if (error == net::error::operation_aborted) return;
    if (!error) std::make_shared<Session>(events, std::move(socket))->run();
    accept(events, acceptor);
  });
}

}  // namespace

int main() try {
  const char *port = std::getenv("PORT");
  evstream::Events events;
  net::io_context loop;
  net::signal_set signals(loop, SIGINT, SIGTERM);
  signals.async_wait([&](beast::error_code, int) { loop.stop(); });
  const auto number = static_cast<unsigned short>(std::stoul(port != nullptr ? port : "8000"));
  tcp::acceptor acceptor(loop, {net::ip::address_v4::loopback(), number});
  std::cout << "Listening on http://127.0.0.1:" << acceptor.local_endpoint().port() << "/" << std::endl;
  accept(events, acceptor);
  loop.run();
  events.close(std::chrono::seconds(2));  // clients are asked to come back
  return 0;
} catch (const std::exception &error) {
  std::cerr << error.what() << "\n";
  return 1;
}
