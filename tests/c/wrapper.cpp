/* The C++ wrapper: values, errors, ownership, and callables of every kind. */
#include <atomic>
#include <evstream.hpp>
#include <functional>
#include <poll.h>
#include <thread>

#include "client.hpp"

using namespace std::chrono_literals;
using namespace evstream;

namespace {

constexpr Milliseconds patience = 60s;

/** Counts how often callables are destroyed, however they were moved. */
struct Life {
  std::shared_ptr<std::atomic<int>> ends;

  explicit Life(std::shared_ptr<std::atomic<int>> counter) : ends(std::move(counter)) {}
  Life(Life &&from) noexcept : ends(std::move(from.ends)) {}
  Life(const Life &) = delete;
  Life &operator=(const Life &) = delete;
  ~Life() {
    if (ends) ++*ends;
  }
};

std::shared_ptr<std::atomic<int>> counter() { return std::make_shared<std::atomic<int>>(0); }

template <class Act>
evs_status status_of(Act act) {
  try {
    act();
  } catch (const Error &error) {
    check(std::strlen(error.what()) > 5, "the error says what was wrong");
    check(std::string_view(error.code()) == evs_status_name(error.status()), "it has a code");
    return error.status();
  }
  return EVS_STATUS_OK;
}

void settings() {
  Config config;
  config.set("history_events", 5).set({EVS_OPTION_KEEP_ALIVE_COMMENT}, true).set("slow_client", "close");
  config.set("cors_origins", {"https://a.example", "https://b.example"}).set("cors_headers", std::vector<std::string>{"X-A"});
  config.set("keep_alive_ms", std::string("15000")).set("max_age_ms", std::uint64_t{10});
  config.set("keep_alive_ms", 5s).set({EVS_OPTION_RETRY_MS}, 250ms).set("history_age_ms", std::chrono::hours(1));
  check(status_of([&] { config.set("keep_alive_ms", -1s); }) == EVS_STATUS_INVALID_CONFIG, "a negative time");
  check(status_of([&] { config.set("keep_alive_ms", std::chrono::hours(2)); }) == EVS_STATUS_INVALID_CONFIG, "too long");
  check(status_of([&] { config.set("history_events", 5s); }) == EVS_STATUS_INVALID_CONFIG, "a time where none is taken");
  check(status_of([&] { config.set("history_events", -1); }) == EVS_STATUS_INVALID_CONFIG, "negative");
  check(status_of([&] { config.set("historyEvents", 1); }) == EVS_STATUS_INVALID_CONFIG, "unknown");
  check(status_of([&] { config.set("history_events", true); }) == EVS_STATUS_INVALID_CONFIG, "another kind");
  Events events(config);
  check(events.close(patience) == 0, "nothing was left");
}

void publishing_and_reading() {
  Events events;
  auto read = events.subscribe({"a", "b"});
  const Receipt receipt = events.publish("a", Event("one\ntwo").name("greeting").comment("hi").retry(5ms));
  check(receipt.position.size() == 21 && receipt.streams == 1 && receipt.proxies == 0, "a receipt");
  const auto message = read.next(patience);
  check(message && !message->is_reset && message->channel == "a" && message->name == "greeting", "the message");
  check(message->data == "one\ntwo" && message->position == receipt.position, "its data and position");
  const auto none = read.next(0ms);
  check(!none && none.timed_out() && !none.ended(), "nothing more");
  auto channel = events.channel("b");
  check(channel.name() == "b" && channel.streams() == 1, "the channel");
  channel.publish(Event("x"));
  channel.publish_wait(Event("y"), 0ms);
  check(status_of([&] { events.publish_to_user("bob", Event("y")); }) == EVS_STATUS_INVALID_CONFIG, "it reaches nobody");
  check(status_of([&] { events.user_channel("bob"); }) == EVS_STATUS_INVALID_CONFIG, "nobody reads it");
  check(!read.next(patience)->name.has_value(), "no name");
  check(status_of([&] { events.publish("a", Event("x").name("a\nb")); }) == EVS_STATUS_INVALID_EVENT, "a bad name");
  check(status_of([&] { events.subscribe(std::vector<std::string>{}); }) == EVS_STATUS_INVALID_CHANNEL, "no channels");
  check(events.stats().published == 3, "figures");
  check(events.metrics().find("\nevstream_events_published_total 3\n") != std::string::npos, "metrics");
  const std::string openmetrics = events.metrics(true);
  check(openmetrics.substr(openmetrics.size() - 6) == "# EOF\n", "OpenMetrics");
  check(events.health().ready && events.health().live, "health");
  events.close(patience);
  check(read.next(forever)->data == "y" && read.next(forever).ended(), "the rest, and the end");
  check(status_of([&] { events.publish("a", Event("x")); }) == EVS_STATUS_CLOSED, "closed");
}

void event_loops() {
  Events events;
  ReadyQueue queue;
  const std::string before = events.position();
  auto read = events.subscribe({"a"});
  read.attach(queue, &read);
  check(read.next(0ms).pending(), "nothing yet");
  const Receipt receipt = events.publish("a", Event("x"));
  check(before < receipt.position && events.position() == receipt.position, "positions");
  pollfd wait{queue.fd(), POLLIN, 0};
  check(::poll(&wait, 1, static_cast<int>(patience.count())) == 1 && queue.pop() == &read, "it is told");
  check(read.next(0ms)->data == "x" && read.next(0ms).pending(), "and read");
  Reply reply = events.open(Request("GET", "/?channel=a"), Access::allow());
  reply.attach(queue, &reply);
  check(reply.next(0ms) && reply.next(0ms).pending(), "a reply too");
  auto polled = events.subscribe({"a"});
  std::atomic<int> calls{0};
  check(polled.poll([&] { ++calls; }).pending(), "polled");
  events.publish("a", Event("y"));
  await([&] { return calls == 1; });
  check(polled.poll([] {})->data == "y", "and there");
  events.close(patience);
}

void callbacks_are_callables() {
  Events events;
  auto ends = counter();
  std::atomic<int> heard{0}, published{0};
  {
    auto subscription = events.subscribe({"a"}, [&, life = Life(ends)](const Message &message) {
      if (message.data == "hello") ++heard;
    });
    events.publish("a", Event("hello"));
    await([&] { return heard == 1; });
    check(*ends == 0, "it lives");
    check(status_of([&] { subscription.next(0ms); }) == EVS_STATUS_INVALID_ARGUMENT, "it calls back");
  }
  await([&] { return *ends == 1; });
  events.publish_async("a", Event("x"), [&, life = Life(ends)](const Receipt &receipt, const std::optional<Error> &error) {
    check(receipt.position.size() == 21 && !error, "it was published");
    ++published;
  });
  check(published == 1 && *ends == 2, "told and destroyed");
  auto refuse = [&] { events.publish_async("", Event("x"), [life = Life(ends)](const Receipt &, const std::optional<Error> &) {}); };
  check(status_of(refuse) == EVS_STATUS_INVALID_CHANNEL && *ends == 3, "destroyed also when it is refused");
  std::function<void(const Message &)> function = [&](const Message &) { ++heard; };
  auto by_function = events.subscribe({"a"}, function);
  events.publish("a", Event("y"));
  await([&] { return heard == 2; });
  events.close(patience);
}

void serving() {
  Events events;
  auto ends = counter();
  auto server = events.server();
  server.mount_public("/events/", {"*"}).mount_channels("/fixed", {"a", "b"});
  server.mount_metrics("/metrics").mount_health("/healthz", [](const RequestView &request) {
    return request.header("x-user") ? Access::allow() : Access::forbid("please log in");
  });
  server.mount_authorize("/mine/", [life = Life(ends)](const RequestView &request) {
    const auto user = request.header("x-user");
    if (!user) return Access::forbid("please log in");
    if (*user == "broken") throw std::runtime_error("a bug");
    if (*user == "all") return Access::allow();
    return Access::channels({"user-" + std::string(*user)}).user(std::string(*user));
  });
  server.fallback([life = Life(ends)](const RequestView &request) {
    if (request.path() == "/bug") throw 1;
    std::string text;
    for (const auto &[name, value] : request.headers()) text += std::string(name) + "=" + std::string(value) + ";";
    return Response(201, "text/plain", std::string(request.method()) + " " + std::string(request.body()) + " " + text);
  });
  check(status_of([&] { server.listen("nonsense"); }) == EVS_STATUS_INVALID_ARGUMENT, "no address");
  server.listen("127.0.0.1:0");
  check(server.address() == "127.0.0.1:" + std::to_string(server.port()), "where it listens");
  const auto port = server.port();
  expect(port, "GET /events/?channel=c", "", "{\"channels\":[\"c\"]}");
  expect(port, "GET /fixed", "", "{\"channels\":[\"a\",\"b\"]}");
  expect(port, "GET /mine/", "", "please log in");
  expect(port, "GET /mine/", "X-User: bob\r\n", "{\"channels\":[\"user-bob\"]}");
  expect(port, "GET /mine/?channel=z", "X-User: all\r\n", "{\"channels\":[\"z\"]}");
  expect(port, "GET /mine/", "X-User: broken\r\nAccept: text/event-stream\r\n", "\"failed\"");
  expect(port, "POST /page", "X-A: 1\r\n", "x-a=1;");
  expect(port, "GET /bug", "", "500 Internal Server Error");
  server.close(patience);
  events.close(patience);
  check(*ends == 2, "all callables are destroyed");
}

void mounting() {
  Events events;
  Request request("GET", "/?channel=a");
  request.add_header("Accept", "*/*").set_peer("192.0.2.1");
  check(request.method() == "GET" && request.query() == "channel=a" && request.peer() == "192.0.2.1", "the request");
  check(request.header("accept") == "*/*" && !request.header("none"), "its headers");
  check(request.channels().empty(), "not known yet");
  check(!events.screen(request) && events.screen(Request("PUT", "/"))->status() == 405, "screening");
  check(!request.channels().empty() && !request.is_held(), "known");
  auto reply = events.open(request, Access::allow());
  check(reply.status() == 200 && reply.has_stream(), "the reply");
  check(reply.headers().front() == std::pair<std::string_view, std::string_view>("Content-Type", "text/event-stream"), "its headers");
  check(reply.head(EVS_FRAMING_CHUNKED).find("chunked") != std::string_view::npos, "its head");
  check(reply.next(patience)->find("stream-open") != std::string_view::npos, "the first bytes");
  check(reply.next(0ms).timed_out(), "nothing yet");
  auto ends = counter();
  std::atomic<int> ready{0};
  check(reply.poll([&, life = Life(ends)] { ++ready; }).pending(), "pending");
  events.publish("a", Event("x"));
  await([&] { return ready == 1 && *ends == 1; });
  check(reply.poll([life = Life(ends)] {})->find("data: x\n") != std::string_view::npos && *ends == 2, "the event");

  auto forbidden = events.open(request, Access::forbid("no"));
  check(!forbidden.has_stream() && forbidden.body().find("forbidden") != std::string_view::npos, "forbidden");

  Jwt jwt("a secret of some length");
  jwt.key("another secret of that length").issuer("me").audience("live").cookie("__Host-token");
  check(status_of([&] { jwt.cookie("token"); }) == EVS_STATUS_INVALID_CONFIG, "no such cookie");
  check(events.open_jwt(request, jwt).status() == 401, "no token");
  check(!events.screen(request.add_header("Authorization",
    "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJib2IiLCJleHAiOjQxMDI0NDQ4MDAsImV2c3RyZWFtIjp7ImNoYW5uZWxzIjpbImEiLCJiIl19fQ.Wu60_7peGp42HGWF_mBT7ZUfMmy2WsZfMyfBPeb-3WY")), "screened again");
  check(events.open_jwt(request, Jwt("a secret of some length")).body().find("{\"channels\":[\"a\"]}") != std::string_view::npos, "a token");

  const Tickets tickets("live");
  check(events.open_ticket(request, tickets).status() == 401, "no ticket");
  Request with_ticket("GET", "/?ticket=" + events.ticket(tickets, Access::channels({"b"})));
  check(!events.screen(with_ticket), "screened");
  check(events.open_ticket(with_ticket, tickets).body().find("{\"channels\":[\"b\"]}") != std::string_view::npos, "a ticket");
  check(events.open_ticket(with_ticket, Tickets("other")).status() == 401, "of another kind");
  check(status_of([] { Tickets(""); }) == EVS_STATUS_INVALID_ARGUMENT, "no name");

  auto adopted = events.open(request, Access::channels({"b"}));
  Pipe pipe;
  check(status_of([&] { adopted.adopt(-1, EVS_FRAMING_CLOSE); }) == EVS_STATUS_INVALID_ARGUMENT, "no descriptor");
  adopted.adopt(pipe.far(), EVS_FRAMING_CLOSE);
  pipe.close_far();
  events.publish("b", Event("y"));
  pipe.expect("data: y\n");
  events.close(patience);
  check(reply.next(patience)->find("retry") != std::string_view::npos && reply.next(patience).ended(), "the end");
}

struct Witness : Observer {
  explicit Witness(std::shared_ptr<std::atomic<int>> counter) : life(std::move(counter)) {}
  void stream_opened(const StreamInfo &stream) override {
    check(stream.user == "bob" && stream.channels == std::vector<std::string_view>{"a"}, "who it is");
    ++opened;
  }
  void stream_closed(const StreamInfo &, std::uint32_t reason) override {
    check(reason == EVS_CLOSE_REASON_DROPPED, "why");
    ++closed;
  }
  Life life;
  static inline std::atomic<int> opened{0}, closed{0};
};

void observing() {
  auto ends = counter();
  {
    Events events;
    events.observe(std::make_unique<Witness>(ends));
    check(status_of([&] { events.observe(std::make_unique<Observer>()); }) == EVS_STATUS_INVALID_ARGUMENT, "only one");
    { auto reply = events.open(Request("GET", "/"), Access::channels({"a"}).user("bob")); }
    check(Witness::opened == 1 && Witness::closed == 1 && *ends == 0, "told");
  }
  check(*ends == 1, "destroyed");
}

void listing() {
  Events events;
  auto reply = events.open(Request("GET", "/"), Access::channels({"b"}).user("eve"));
  reply.next(patience);
  events.publish("b", Event("x"));
  check(reply.next(patience)->find("data: x") != std::string_view::npos, "pulled, so that it is somewhere");
  Who who;
  check(status_of([&] { events.streams(who); }) == EVS_STATUS_INVALID_ARGUMENT, "nobody is named");
  who.user = "eve";
  auto streams = events.streams(who);
  check(streams.size() == 1 && streams[0].user == "eve" && streams[0].channels == std::vector<std::string>{"b"}, "it is there");
  check(!streams[0].id.empty() && streams[0].behind == 0, "and level");
  check(events.users("b") == std::vector<std::string>{"eve"} && events.users("a").empty(), "by channel");
  Who it;
  it.stream = streams[0].id;
  events.disconnect(it, "over");
  check(reply.next(patience)->find("over") != std::string_view::npos, "it is meant");
  events.close(patience);
}

void logging() {
  auto ends = counter();
  std::atomic<int> lines{0};
  set_log(EVS_LOG_LEVEL_INFO, [&, life = Life(ends)](evs_log_level level, std::string_view target, std::string_view message) {
    check(level == EVS_LOG_LEVEL_INFO && target == "evstream::server" && message.substr(0, 9) == "listening", "the line");
    ++lines;
  });
  Events events;
  auto server = events.server();
  server.listen("127.0.0.1:0");
  check(lines == 1, "one line");
  unset_log();
  check(*ends == 1, "destroyed");
  events.close(patience);
}

void objects_move() {
  Events first;
  Events second = std::move(first);
  auto channel = second.channel("a");
  auto moved = std::move(channel);
  std::vector<Subscription> all;
  all.push_back(second.subscribe({"a"}));
  all.push_back(second.subscribe({"a"}));
  moved.publish(Event("x"));
  check(all.front().next(patience) && all.back().next(patience), "both read");
  first = Events();
  first.close(patience);
  second.close(patience);
}

}  // namespace

int main() {
  settings();
  publishing_and_reading();
  event_loops();
  callbacks_are_callables();
  serving();
  mounting();
  observing();
  listing();
  logging();
  objects_move();
  return 0;
}
