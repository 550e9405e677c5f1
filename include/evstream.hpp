/**
 * @file evstream.hpp
 *
 * evstream for C++17: evstream.h with objects that free themselves, std::string_view for texts, exceptions for statuses, and
 * anything that can be called for callbacks. Header-only; link libevstream.
 *
 * @code
 * evstream::Events events;
 * auto server = events.server();
 * server.mount("/events/").listen("127.0.0.1:8000");
 * events.publish("numbers", evstream::Event("1").name("number"));
 * events.close(std::chrono::seconds(2));
 * @endcode
 *
 * What each function does, and the rules for threads, forks and callbacks, are those of evstream.h. Besides:
 *
 *  - What can fail throws evstream::Error, which has the status and a text. What is no failure, such as the end of a stream or
 *    a time that was not enough, is told by a Taken.
 *  - Destructors free, and neither block nor close: call Events::close first, from no callback.
 *  - A view that is given out lives as long as the comment of the C function says.
 *  - Callables are moved to the library and destroyed when they will not be called any more, on any thread. When an exception
 *    leaves one that answers a request, the client is told of an internal error; when it leaves another, the program ends, as
 *    it does when an exception leaves a thread.
 */
#ifndef EVSTREAM_HPP
#define EVSTREAM_HPP

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "evstream.h"

namespace evstream {

using Milliseconds = std::chrono::milliseconds;

/** Waits for as long as it takes. */
inline constexpr Milliseconds forever = Milliseconds::max();

/** What the functions of evstream throw. */
class Error : public std::runtime_error {
 public:
  Error(evs_status status, const std::string &message) : std::runtime_error(message), status_(status) {}

  /** The status, to act on. */
  evs_status status() const noexcept { return status_; }

  /** Its stable name, such as "invalid-event". */
  const char *code() const noexcept { return evs_status_name(status_); }

  /** Whether the same call may succeed later. */
  bool is_retryable() const noexcept { return evs_status_is_retryable(status_); }

 private:
  evs_status status_;
};

/** What lies behind the classes. */
namespace detail {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T *object) const noexcept {
    Free(object);
  }
};

template <class T, auto Free>
using Handle = std::unique_ptr<T, Freer<Free>>;

inline std::string_view text(evs_str view) noexcept {
  return view.len > 0 ? std::string_view(view.ptr, view.len) : std::string_view();
}

inline std::string_view text(evs_bytes view) noexcept {
  return view.len > 0 ? std::string_view(reinterpret_cast<const char *>(view.ptr), view.len) : std::string_view();
}

inline evs_str view(std::string_view text) noexcept { return evs_str{text.data(), text.size()}; }

inline evs_str view(const std::optional<std::string> &text) noexcept {
  return text ? evs_str{text->c_str(), text->size()} : evs_str{nullptr, 0};
}

template <class Texts>
std::vector<evs_str> views(const Texts &texts) {
  std::vector<evs_str> made;
  for (const auto &each : texts) made.push_back(view(std::string_view(each)));
  return made;
}

inline std::vector<std::string_view> texts(const evs_str *views, std::size_t len) {
  std::vector<std::string_view> made;
  for (std::size_t i = 0; i < len; i++) made.push_back(text(views[i]));
  return made;
}

inline std::string text(evs_text *owned) {
  const Handle<evs_text, evs_text_free> made(owned);
  return std::string(text(evs_text_str(owned)));
}

inline std::uint64_t count(Milliseconds timeout) noexcept {
  if (timeout == forever) return EVS_FOREVER;
  return timeout.count() > 0 ? static_cast<std::uint64_t>(timeout.count()) : 0;
}

/** Calls a function whose last parameter is an error; throws it if it is one. */
template <class Function, class... Arguments>
evs_status call(Function function, Arguments... arguments) {
  evs_error *error = nullptr;
  const evs_status status = function(arguments..., &error);
  if (error == nullptr) return status;
  const Handle<evs_error, evs_error_free> owned(error);
  throw Error(status, evs_error_message(error));
}

/** Something to call, given away as user_data. */
template <class Callable>
void *give(Callable &&callable) {
  return new std::decay_t<Callable>(std::forward<Callable>(callable));
}

template <class Callable>
void destroy(void *user_data) noexcept {
  delete static_cast<Callable *>(user_data);
}

template <class Callable>
Callable &taken(void *user_data) noexcept {
  return *static_cast<Callable *>(user_data);
}

}  // namespace detail

/** What was taken from a stream or subscription, if anything was. */
template <class T>
class Taken {
 public:
  Taken(evs_status status, T value) : status_(status), value_(std::move(value)) {}

  /** Whether there is a value. */
  explicit operator bool() const noexcept { return status_ == EVS_STATUS_OK; }

  /** Whether nothing more will come. */
  bool ended() const noexcept { return status_ == EVS_STATUS_ENDED; }

  /** Whether there was nothing in the time given: try again. */
  bool timed_out() const noexcept { return status_ == EVS_STATUS_TIMEOUT; }

  /** Whether there is nothing yet: the callable or the queue will tell. */
  bool pending() const noexcept { return status_ == EVS_STATUS_PENDING; }

  const T &operator*() const noexcept { return value_; }
  const T *operator->() const noexcept { return &value_; }

 private:
  evs_status status_;
  T value_;
};

/** Settings. */
class Config {
 public:
  Config() {
    evs_config *made = nullptr;
    detail::call(evs_config_new, &made);
    raw_.reset(made);
  }

  /** Sets a setting by its name, or as set({EVS_OPTION_...}, value). */
  template <class Value>
  Config &set(std::string_view option, const Value &value) {
    const auto name = detail::view(option);
    if constexpr (std::is_same_v<Value, bool>) {
      detail::call(evs_config_set_flag, raw_.get(), name.ptr, name.len, value);
    } else if constexpr (std::is_integral_v<Value>) {
      // A negative number is out of every range, and the error should say so rather than show a large one.
      if (value < Value{}) throw Error(EVS_STATUS_INVALID_CONFIG, std::string(option) + " takes no negative number");
      detail::call(evs_config_set_integer, raw_.get(), name.ptr, name.len, static_cast<std::uint64_t>(value));
    } else if constexpr (std::is_convertible_v<Value, std::string_view>) {
      const auto text = detail::view(std::string_view(value));
      detail::call(evs_config_set_text, raw_.get(), name.ptr, name.len, text.ptr, text.len);
    } else {
      set_list(name, detail::views(value));
    }
    return *this;
  }

  /** Sets a setting whose name ends with _ms. */
  template <class Number, class Period>
  Config &set(std::string_view option, std::chrono::duration<Number, Period> value) {
    constexpr std::string_view unit = "_ms";
    if (option.size() < unit.size() || option.substr(option.size() - unit.size()) != unit) {
      throw Error(EVS_STATUS_INVALID_CONFIG, std::string(option) + " takes no time: its name does not end with _ms");
    }
    return set(option, static_cast<std::int64_t>(std::chrono::duration_cast<Milliseconds>(value).count()));
  }

  /** Sets a setting that is a list. */
  Config &set(std::string_view option, std::initializer_list<std::string_view> values) {
    set_list(detail::view(option), detail::views(values));
    return *this;
  }

  /** Takes the GRIP proxies from GRIP_URL and GRIP_VERIFY_KEY, where these are set and not empty. */
  Config &grip_from_env() {
    detail::call(evs_config_grip_from_env, raw_.get());
    return *this;
  }

  evs_config *raw() const noexcept { return raw_.get(); }

 private:
  void set_list(evs_str name, const std::vector<evs_str> &values) {
    detail::call(evs_config_set_list, raw_.get(), name.ptr, name.len, values.data(), values.size());
  }

  detail::Handle<evs_config, evs_config_free> raw_;
};

/** What is published. */
class Event {
 public:
  explicit Event(std::string data) : data_(std::move(data)) {}

  /** Its type, which a browser listens on. */
  Event &name(std::string name) {
    name_ = std::move(name);
    return *this;
  }

  /** A comment, which clients ignore. */
  Event &comment(std::string comment) {
    comment_ = std::move(comment);
    return *this;
  }

  /** How long clients should wait before they reconnect. */
  Event &retry(Milliseconds retry) {
    retry_ = retry;
    return *this;
  }

  /** The event as C sees it, for as long as this lives and is not changed. */
  evs_event raw() const noexcept {
    evs_event event = EVS_EVENT_INIT;
    event.data = evs_str{data_.c_str(), data_.size()};
    event.name = detail::view(name_);
    event.comment = detail::view(comment_);
    event.retry_ms = retry_ ? detail::count(*retry_) : 0;
    event.has_retry = retry_.has_value();
    return event;
  }

 private:
  std::string data_;
  std::optional<std::string> name_, comment_;
  std::optional<Milliseconds> retry_;
};

/** What publishing gives back. */
struct Receipt {
  std::string position;
  std::uint64_t streams = 0;
  std::uint64_t proxies = 0;
  std::uint64_t proxies_failed = 0;

  explicit Receipt(const evs_receipt &raw)
      : position(raw.position), streams(raw.streams), proxies(raw.proxies), proxies_failed(raw.proxies_failed) {}
};

namespace detail {

/** Publishes with one of the three pairs of functions, to a channel by name or handle. */
template <class Function, class... Target>
Receipt publish(Function function, const Event &event, Target... target) {
  const evs_event raw = event.raw();
  evs_receipt receipt = EVS_RECEIPT_INIT;
  call(function, target..., &raw, &receipt);
  return Receipt(receipt);
}

template <class Function, class... Target>
Receipt publish_wait(Function function, const Event &event, Milliseconds timeout, Target... target) {
  const evs_event raw = event.raw();
  evs_receipt receipt = EVS_RECEIPT_INIT;
  call(function, target..., &raw, count(timeout), &receipt);
  return Receipt(receipt);
}

template <class Callable>
void on_published(void *user_data, evs_status status, const evs_receipt *receipt, const evs_error *error) noexcept {
  std::optional<Error> failure;
  if (error != nullptr) failure.emplace(status, evs_error_message(error));
  taken<Callable>(user_data)(Receipt(*receipt), failure);
}

template <class Callable, class Function, class... Target>
Receipt publish_async(Function function, const Event &event, Callable &&callable, Target... target) {
  using Type = std::decay_t<Callable>;
  const evs_event raw = event.raw();
  evs_receipt receipt = EVS_RECEIPT_INIT;
  evs_published_fn published = on_published<Type>;
  evs_free_fn free = destroy<Type>;
  call(function, target..., &raw, &receipt, published, give(std::forward<Callable>(callable)), free);
  return Receipt(receipt);
}

}  // namespace detail

/** A named sequence of events, for publishing to it often. */
class Channel {
 public:
  explicit Channel(evs_channel *owned) : raw_(owned) {}

  std::string_view name() const noexcept { return detail::text(evs_channel_name(raw_.get())); }
  std::uint64_t streams() const noexcept { return evs_channel_streams(raw_.get()); }

  Receipt publish(const Event &event) const { return detail::publish(evs_channel_publish, event, raw_.get()); }

  Receipt publish_wait(const Event &event, Milliseconds timeout) const {
    return detail::publish_wait(evs_channel_publish_wait, event, timeout, raw_.get());
  }

  /** Calls `published(const Receipt &, const std::optional<Error> &)` when the proxies have answered. */
  template <class Callable>
  Receipt publish_async(const Event &event, Callable &&published) const {
    return detail::publish_async(evs_channel_publish_async, event, std::forward<Callable>(published), raw_.get());
  }

 private:
  detail::Handle<evs_channel, evs_channel_free> raw_;
};

/** A queue of what is worth reading on, for an event loop; see evs_ready_queue. */
class ReadyQueue {
 public:
  ReadyQueue() {
    evs_ready_queue *made = nullptr;
    detail::call(evs_ready_queue_new, &made);
    raw_.reset(made);
  }

  /** Readable while there is something to pop. Only watch it. */
  int fd() const noexcept { return evs_ready_queue_fd(raw_.get()); }

  /** What the next one was attached with. */
  std::optional<void *> pop() noexcept {
    void *user_data;
    if (!evs_ready_queue_pop(raw_.get(), &user_data)) return std::nullopt;
    return user_data;
  }

  evs_ready_queue *raw() const noexcept { return raw_.get(); }

 private:
  detail::Handle<evs_ready_queue, evs_ready_queue_free> raw_;
};

/** A request, as callbacks are shown it. */
class RequestView {
 public:
  explicit RequestView(const evs_request *raw) noexcept : view_(raw) {}

  std::string_view method() const noexcept { return detail::text(evs_request_method(view_)); }
  std::string_view path() const noexcept { return detail::text(evs_request_path(view_)); }
  std::string_view query() const noexcept { return detail::text(evs_request_query(view_)); }
  std::string_view peer() const noexcept { return detail::text(evs_request_peer(view_)); }
  std::string_view body() const noexcept { return detail::text(evs_request_body(view_)); }

  /** The first header of a name. */
  std::optional<std::string_view> header(std::string_view name) const noexcept {
    evs_str value;
    if (!evs_request_header(view_, name.data(), name.size(), &value)) return std::nullopt;
    return detail::text(value);
  }

  /** All headers, in their order. */
  std::vector<std::pair<std::string_view, std::string_view>> headers() const {
    std::vector<std::pair<std::string_view, std::string_view>> all;
    evs_str name, value;
    for (std::size_t i = 0; evs_request_header_at(view_, i, &name, &value); i++) {
      all.emplace_back(detail::text(name), detail::text(value));
    }
    return all;
  }

  /** The channels that the client names, where they are known; see evs_request_channels. */
  std::vector<std::string_view> channels() const {
    std::size_t len = 0;
    const evs_str *first = evs_request_channels(view_, &len);
    return detail::texts(first, len);
  }

  /** Whether a GRIP proxy asks, which is going to hold the stream. */
  bool is_held() const noexcept { return evs_request_is_held(view_); }

  const evs_request *raw() const noexcept { return view_; }

 protected:
  const evs_request *view_;
};

/** A request that an HTTP server of yours has received. */
class Request : public RequestView {
 public:
  Request(std::string_view method, std::string_view target) : RequestView(nullptr) {
    evs_request *made = nullptr;
    detail::call(evs_request_new, method.data(), method.size(), target.data(), target.size(), &made);
    raw_.reset(made);
    view_ = made;
  }

  Request &add_header(std::string_view name, std::string_view value) {
    detail::call(evs_request_add_header, raw_.get(), name.data(), name.size(), value.data(), value.size());
    return *this;
  }

  evs_request *owned() noexcept { return raw_.get(); }

  Request &set_peer(std::string_view address) {
    detail::call(evs_request_set_peer, raw_.get(), address.data(), address.size());
    return *this;
  }

 private:
  detail::Handle<evs_request, evs_request_free> raw_;
};

/** Which JSON Web Tokens are accepted, and from where: Server::mount_jwt and Events::open_jwt have them decide. */
class Jwt {
 public:
  /** Accepts tokens of a key: a secret, or a PEM or JSON Web Key. */
  explicit Jwt(std::string_view key) {
    evs_jwt *made = nullptr;
    detail::call(evs_jwt_new, key.data(), key.size(), &made);
    raw_ = detail::Handle<evs_jwt, evs_jwt_free>(made);
  }

  /** Accepts tokens of another key too. */
  Jwt &key(std::string_view key) { return change(evs_jwt_add_key, key); }

  /** Requires that "iss" is this. */
  Jwt &issuer(std::string_view issuer) { return change(evs_jwt_set_issuer, issuer); }

  /** Requires that "aud" is or holds this, or another that was given so. */
  Jwt &audience(std::string_view audience) { return change(evs_jwt_add_audience, audience); }

  /** Names the cookie, which begins with "__Secure-" or "__Host-". */
  Jwt &cookie(std::string_view name) { return change(evs_jwt_set_cookie, name); }

  const evs_jwt *raw() const { return raw_.get(); }

 private:
  template <class Function>
  Jwt &change(Function function, std::string_view text) {
    detail::call(function, raw_.get(), text.data(), text.size());
    return *this;
  }

  detail::Handle<evs_jwt, evs_jwt_free> raw_{nullptr};
};

/**
 * Tickets of one kind, for clients that send no headers: what Events::ticket makes with them, Server::mount_tickets and
 * Events::open_ticket take.
 */
class Tickets {
 public:
  /** A ticket opens a new stream for open_within_s seconds and ends after lasts_s. The name tells them from those for other mounts. */
  explicit Tickets(std::string_view name, std::uint64_t open_within_s = 30, std::uint64_t lasts_s = 3600) {
    evs_tickets *made = nullptr;
    detail::call(evs_tickets_new, name.data(), name.size(), open_within_s, lasts_s, &made);
    raw_ = detail::Handle<evs_tickets, evs_tickets_free>(made);
  }

  const evs_tickets *raw() const { return raw_.get(); }

 private:
  detail::Handle<evs_tickets, evs_tickets_free> raw_{nullptr};
};

/** Whether a client gets a stream, and of which channels. */
class Access {
 public:
  /** The channels that the client names in the query. */
  static Access allow() { return Access(Kind::allow, {}); }

  /** These channels, whatever the client names. */
  static Access channels(std::vector<std::string> channels) {
    Access made(Kind::channels, {});
    made.channels_ = std::move(channels);
    return made;
  }

  /** No stream: the client is told "forbidden" and does not come back. */
  static Access forbid(std::string text) { return Access(Kind::forbid, std::move(text)); }

  /** No stream now, because the application cannot decide: the client is asked to come back later. */
  static Access fail(std::string text) { return Access(Kind::fail, std::move(text)); }

  /** Names the user behind the stream. */
  Access &user(std::string user) {
    user_ = std::move(user);
    return *this;
  }

  /** Ends the stream before that moment, in seconds since 1970; the client comes back and is decided on anew. */
  Access &expires_at(std::uint64_t unix_s) {
    expires_at_ = unix_s;
    return *this;
  }

  /** Begins with what was published after that position; take it before you read the data for greet. */
  Access &since(std::string position) {
    since_ = std::move(position);
    return *this;
  }

  /** Sends an event to this client alone, before all others. */
  Access &greet(Event event) {
    greetings_.push_back(std::move(event));
    return *this;
  }

  /** Decides so. */
  void decide(evs_access *access) const {
    const evs_str text = detail::view(std::string_view(text_));
    switch (kind_) {
      case Kind::allow: detail::call(evs_access_allow, access); break;
      case Kind::forbid: detail::call(evs_access_forbid, access, text.ptr, text.len); break;
      case Kind::fail: detail::call(evs_access_fail, access, text.ptr, text.len); break;
      case Kind::channels: {
        const auto views = detail::views(channels_);
        detail::call(evs_access_set_channels, access, views.data(), views.size());
      }
    }
    if (user_) detail::call(evs_access_set_user, access, user_->c_str(), user_->size());
    if (expires_at_) detail::call(evs_access_set_expiry, access, *expires_at_);
    if (since_) detail::call(evs_access_set_since, access, since_->c_str(), since_->size());
    for (const Event &event : greetings_) {
      const evs_event raw = event.raw();
      detail::call(evs_access_greet, access, &raw);
    }
  }

 private:
  enum class Kind { allow, channels, forbid, fail };

  Access(Kind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  Kind kind_;
  std::string text_;
  std::vector<std::string> channels_;
  std::optional<std::string> user_, since_;
  std::optional<std::uint64_t> expires_at_;
  std::vector<Event> greetings_;
};

/** What to answer a request with; see evs_reply. */
class Reply {
 public:
  explicit Reply(evs_reply *owned) : raw_(owned) {}

  unsigned status() const noexcept { return evs_reply_status(raw_.get()); }
  bool has_stream() const noexcept { return evs_reply_has_stream(raw_.get()); }
  std::string_view body() const noexcept { return detail::text(evs_reply_body(raw_.get())); }
  void skip_body() noexcept { evs_reply_skip_body(raw_.get()); }

  /** All headers, in the order to send them. */
  std::vector<std::pair<std::string_view, std::string_view>> headers() const {
    std::vector<std::pair<std::string_view, std::string_view>> all;
    evs_str name, value;
    for (std::size_t i = 0; evs_reply_header_at(raw_.get(), i, &name, &value); i++) {
      all.emplace_back(detail::text(name), detail::text(value));
    }
    return all;
  }

  /** The status line and headers as HTTP/1.1 has them. */
  std::string_view head(evs_framing framing) {
    evs_str head;
    detail::call(evs_reply_head, raw_.get(), static_cast<std::uint32_t>(framing), &head);
    return detail::text(head);
  }

  /** Lets evstream write the body to a socket from now on. The descriptor stays yours, to be closed. */
  void adopt(int fd, evs_framing framing) {
    detail::call(evs_reply_adopt_fd, raw_.get(), fd, static_cast<std::uint32_t>(framing));
  }

  /** Takes the next bytes of the body; they live until the next call. */
  Taken<std::string_view> next(Milliseconds timeout) {
    evs_bytes chunk;
    const evs_status status = detail::call(evs_reply_next, raw_.get(), detail::count(timeout), &chunk);
    return {status, detail::text(chunk)};
  }

  /** Takes the next bytes of the body if there are any; else calls `ready()` when it is worth trying again. */
  template <class Callable>
  Taken<std::string_view> poll(Callable &&ready) {
    using Type = std::decay_t<Callable>;
    evs_bytes chunk;
    evs_ready_fn function = [](void *user_data) noexcept { detail::taken<Type>(user_data)(); };
    evs_free_fn free = detail::destroy<Type>;
    const evs_status status =
        detail::call(evs_reply_poll, raw_.get(), &chunk, function, detail::give(std::forward<Callable>(ready)), free);
    return {status, detail::text(chunk)};
  }

  /** Has a queue give user_data when next, which does not wait from now on, is worth calling again. */
  void attach(const ReadyQueue &queue, void *user_data) {
    detail::call(evs_reply_attach, raw_.get(), queue.raw(), user_data);
  }

 private:
  detail::Handle<evs_reply, evs_reply_free> raw_;
};

/** What a server's fallback answers. */
struct Response {
  unsigned status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  Response(unsigned with_status, std::string content_type, std::string with_body)
      : status(with_status), headers{{"Content-Type", std::move(content_type)}}, body(std::move(with_body)) {}

  /** Answers so. */
  void answer(evs_response *response) const {
    detail::call(evs_response_set_status, response, status);
    for (const auto &[name, value] : headers) {
      detail::call(evs_response_add_header, response, name.data(), name.size(), value.data(), value.size());
    }
    detail::call(evs_response_set_body, response, static_cast<const void *>(body.data()), body.size());
  }
};

/** What Events::health() finds. */
struct Health {
  /** Whether new clients should be sent here. */
  bool ready = false;
  /** Whether the process can still recover by itself. */
  bool live = false;
  /** {"ready":true,"live":true,"problems":[]} */
  std::string json;
};

/** evstream's own HTTP server. */
class Server {
 public:
  explicit Server(evs_server *owned) : raw_(owned) {}

  /** Serves streams of the channels that clients name. */
  Server &mount(std::string_view path) {
    detail::call(evs_server_mount, raw_.get(), path.data(), path.size());
    return *this;
  }

  /** Serves streams as tokens grant them. */
  Server &mount_jwt(std::string_view path, const Jwt &jwt) {
    detail::call(evs_server_mount_jwt, raw_.get(), path.data(), path.size(), jwt.raw());
    return *this;
  }

  /** Serves streams of those of these channels that clients name: names, and beginnings of names such as "news-*". */
  Server &mount_public(std::string_view path, const std::vector<std::string> &channels) {
    const auto views = detail::views(channels);
    detail::call(evs_server_mount_public, raw_.get(), path.data(), path.size(), views.data(), views.size());
    return *this;
  }

  /** Serves streams as tickets grant them. */
  Server &mount_tickets(std::string_view path, const Tickets &tickets) {
    detail::call(evs_server_mount_tickets, raw_.get(), path.data(), path.size(), tickets.raw());
    return *this;
  }

  /** Serves streams of these channels. */
  Server &mount_channels(std::string_view path, const std::vector<std::string> &channels) {
    const auto views = detail::views(channels);
    detail::call(evs_server_mount_channels, raw_.get(), path.data(), path.size(), views.data(), views.size());
    return *this;
  }

  /** Serves streams as `authorize(const RequestView &)` gives an Access at each request. */
  template <class Callable>
  Server &mount_authorize(std::string_view path, Callable &&authorize) {
    return guarded(evs_server_mount_authorize, path, std::forward<Callable>(authorize));
  }

  /** Serves metrics, on a loopback address or a Unix socket only. */
  Server &mount_metrics(std::string_view path) { return unguarded(evs_server_mount_metrics, path); }

  /** Serves metrics to those whom `authorize(const RequestView &)` gives an Access. */
  template <class Callable>
  Server &mount_metrics(std::string_view path, Callable &&authorize) {
    return guarded(evs_server_mount_metrics, path, std::forward<Callable>(authorize));
  }

  /** Serves health, on a loopback address or a Unix socket only. */
  Server &mount_health(std::string_view path) { return unguarded(evs_server_mount_health, path); }

  /** Serves health to those whom `authorize(const RequestView &)` gives an Access. */
  template <class Callable>
  Server &mount_health(std::string_view path, Callable &&authorize) {
    return guarded(evs_server_mount_health, path, std::forward<Callable>(authorize));
  }

  /** Answers requests that are for no mount as `respond(const RequestView &)` gives a Response. */
  template <class Callable>
  Server &fallback(Callable &&respond) {
    using Type = std::decay_t<Callable>;
    evs_respond_fn function = [](void *user_data, const evs_request *request, evs_response *response) noexcept {
      try {
        const Response answer = detail::taken<Type>(user_data)(RequestView(request));
        answer.answer(response);
      } catch (...) {
        evs_response_set_status(response, 500, nullptr);
        evs_response_set_body(response, nullptr, 0, nullptr);
      }
    };
    evs_free_fn free = detail::destroy<Type>;
    detail::call(evs_server_fallback, raw_.get(), function, detail::give(std::forward<Callable>(respond)), free);
    return *this;
  }

  /** Also takes events at POST /publish/, on a loopback address or Unix socket only. */
  Server &accept_publish() {
    detail::call(evs_server_accept_publish, raw_.get());
    return *this;
  }

  Server &accept_publish_basic(std::string_view user, std::string_view password) {
    detail::call(evs_server_accept_publish_basic, raw_.get(), user.data(), user.size(), password.data(), password.size());
    return *this;
  }

  Server &accept_publish_bearer(std::string_view token) {
    detail::call(evs_server_accept_publish_bearer, raw_.get(), token.data(), token.size());
    return *this;
  }

  Server &accept_publish_jwt(std::string_view iss, std::string_view key) {
    detail::call(evs_server_accept_publish_jwt, raw_.get(), iss.data(), iss.size(), key.data(), key.size());
    return *this;
  }

  /** Listens on "host:port" or "unix:PATH". */
  Server &listen(std::string_view address) {
    detail::call(evs_server_listen, raw_.get(), address.data(), address.size());
    return *this;
  }

  std::string_view address() const noexcept { return detail::text(evs_server_address(raw_.get())); }
  std::uint16_t port() const noexcept { return evs_server_port(raw_.get()); }

  /** Ends it. Throws Error with EVS_STATUS_TIMEOUT when the time was not enough. */
  void close(Milliseconds timeout) { detail::call(evs_server_close, raw_.get(), detail::count(timeout)); }

 private:
  template <class Function, class Callable>
  Server &guarded(Function mount, std::string_view path, Callable &&authorize) {
    using Type = std::decay_t<Callable>;
    evs_authorize_fn function = [](void *user_data, const evs_request *request, evs_access *access) noexcept {
      try {
        const Access decided = detail::taken<Type>(user_data)(RequestView(request));
        decided.decide(access);
      } catch (...) {
        evs_access_fail(access, EVS_LITERAL("the application has failed"), nullptr);
      }
    };
    evs_free_fn free = detail::destroy<Type>;
    detail::call(mount, raw_.get(), path.data(), path.size(), function,
                 detail::give(std::forward<Callable>(authorize)), free);
    return *this;
  }

  template <class Function>
  Server &unguarded(Function mount, std::string_view path) {
    evs_authorize_fn nobody = nullptr;
    void *nothing = nullptr;
    evs_free_fn free = nullptr;
    detail::call(mount, raw_.get(), path.data(), path.size(), nobody, nothing, free);
    return *this;
  }

  detail::Handle<evs_server, evs_server_free> raw_;
};

/** What a subscription gives. Its views live until the next one is taken. */
struct Message {
  bool is_reset = false;
  std::string_view position;
  std::string_view channel;
  std::optional<std::string_view> name;
  std::string_view data;
  std::vector<std::string_view> channels;

  Message() = default;

  explicit Message(const evs_message &raw)
      : is_reset(raw.kind == EVS_MESSAGE_KIND_RESET),
        position(raw.position),
        channel(detail::text(raw.channel)),
        data(detail::text(raw.data)),
        channels(detail::texts(raw.channels, raw.channels_len)) {
    if (raw.name.ptr != nullptr) name = detail::text(raw.name);
  }
};

/** A reader of channels inside the process. */
class Subscription {
 public:
  explicit Subscription(evs_subscription *owned) : raw_(owned), message_(new evs_message(EVS_MESSAGE_INIT)) {}

  /** Takes the next message. Not for a subscription that calls back. */
  Taken<Message> next(Milliseconds timeout) {
    const evs_status status =
        detail::call(evs_subscription_next, raw_.get(), detail::count(timeout), message_.get());
    return {status, status == EVS_STATUS_OK ? Message(*message_) : Message()};
  }

  /** Takes the next message if there is one; else calls `ready()` when it is worth trying again. */
  template <class Callable>
  Taken<Message> poll(Callable &&ready) {
    using Type = std::decay_t<Callable>;
    evs_ready_fn function = [](void *user_data) noexcept { detail::taken<Type>(user_data)(); };
    evs_free_fn free = detail::destroy<Type>;
    const evs_status status = detail::call(evs_subscription_poll, raw_.get(), message_.get(), function,
                                           detail::give(std::forward<Callable>(ready)), free);
    return {status, status == EVS_STATUS_OK ? Message(*message_) : Message()};
  }

  /** Has a queue give user_data when next, which does not wait from now on, is worth calling again. */
  void attach(const ReadyQueue &queue, void *user_data) {
    detail::call(evs_subscription_attach, raw_.get(), queue.raw(), user_data);
  }

 private:
  detail::Handle<evs_subscription, evs_subscription_free> raw_;
  std::unique_ptr<evs_message> message_;
};

/** A client's stream, as an Observer is told of it. */
struct StreamInfo {
  std::string_view id, user, peer, position;
  std::vector<std::string_view> channels;
  std::uint64_t age_ms, behind;

  explicit StreamInfo(const evs_stream_info &raw)
      : id(detail::text(raw.id)),
        user(detail::text(raw.user)),
        peer(detail::text(raw.peer)),
        position(raw.position),
        channels(detail::texts(raw.channels, raw.channels_len)),
        age_ms(raw.age_ms),
        behind(raw.behind) {}
};

/** A client's stream, as Events::streams lists it. */
struct OpenStream {
  std::string id, user, peer, position;
  std::vector<std::string> channels;
  std::uint64_t age_ms, behind;

  explicit OpenStream(const StreamInfo &info)
      : id(info.id),
        user(info.user),
        peer(info.peer),
        position(info.position),
        channels(info.channels.begin(), info.channels.end()),
        age_ms(info.age_ms),
        behind(info.behind) {}
};

/** An event that a GRIP proxy did not get, as an Observer is told of it. */
struct PublishFailure {
  std::string_view proxy, channel, position;
  Error error;

  explicit PublishFailure(const evs_publish_failure &raw)
      : proxy(detail::text(raw.proxy)),
        channel(detail::text(raw.channel)),
        position(raw.position),
        error(evs_error_status(raw.error), evs_error_message(raw.error)) {}
};

/** What is told of streams and failures. Override what interests; all are called from several threads, and must be short. */
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void stream_opened(const StreamInfo &) {}
  /** The reason is an evs_close_reason. */
  virtual void stream_closed(const StreamInfo &, std::uint32_t) {}
  virtual void publish_failed(const PublishFailure &) {}
};

/** Which streams are meant: those that have all of its parts. */
struct Who {
  std::string user, channel, stream;
  /** Says that all streams are meant, when nothing is named. */
  bool everyone = false;

  /** For the functions of C, as long as this lives. */
  evs_who raw() const {
    evs_who raw = EVS_WHO_INIT;
    if (!user.empty()) raw.user = {user.data(), user.size()};
    if (!channel.empty()) raw.channel = {channel.data(), channel.size()};
    if (!stream.empty()) raw.stream = {stream.data(), stream.size()};
    raw.everyone = everyone;
    return raw;
  }
};

/** An application's events. */
class Events {
 public:
  Events() : Events(nullptr) {}
  explicit Events(const Config &config) : Events(config.raw()) {}

  Receipt publish(std::string_view channel, const Event &event) const {
    return detail::publish(evs_hub_publish, event, raw_.get(), channel.data(), channel.size());
  }

  /** Waits for the proxies. Throws the Error of the first that failed, or with EVS_STATUS_TIMEOUT. */
  Receipt publish_wait(std::string_view channel, const Event &event, Milliseconds timeout) const {
    return detail::publish_wait(evs_hub_publish_wait, event, timeout, raw_.get(), channel.data(), channel.size());
  }

  /** Calls `published(const Receipt &, const std::optional<Error> &)` when the proxies have answered. */
  template <class Callable>
  Receipt publish_async(std::string_view channel, const Event &event, Callable &&published) const {
    return detail::publish_async(evs_hub_publish_async, event, std::forward<Callable>(published), raw_.get(),
                                 channel.data(), channel.size());
  }

  /** To all streams of a user, with the setting user_channel. */
  Receipt publish_to_user(std::string_view user, const Event &event) const {
    return detail::publish(evs_hub_publish_to_user, event, raw_.get(), user.data(), user.size());
  }

  /** The channel that publish_to_user publishes to. */
  Channel user_channel(std::string_view user) const {
    evs_channel *made = nullptr;
    detail::call(evs_hub_user_channel, raw_.get(), user.data(), user.size(), &made);
    return Channel(made);
  }

  Channel channel(std::string_view name) const {
    evs_channel *made = nullptr;
    detail::call(evs_hub_channel, raw_.get(), name.data(), name.size(), &made);
    return Channel(made);
  }

  /** Answers a request that an HTTP server of yours has received. */
  Reply open(const Request &request, const Access &access) const {
    const Undecided decided = undecided();
    access.decide(decided.get());
    return open(request, decided.get());
  }

  /** Answers a request that screen has left to the application, as its token grants. */
  Reply open_jwt(const Request &request, const Jwt &jwt) const {
    const Undecided decided = undecided();
    detail::call(evs_access_set_jwt, decided.get(), raw_.get(), jwt.raw(), request.raw());
    return open(request, decided.get());
  }

  /** Answers a request that screen has left to the application, as its ticket grants. */
  Reply open_ticket(const Request &request, const Tickets &tickets) const {
    const Undecided decided = undecided();
    detail::call(evs_access_set_ticket, decided.get(), raw_.get(), tickets.raw(), request.raw());
    return open(request, decided.get());
  }

  /** A ticket for what the access grants, which names its channels: for "?ticket=" in the URL of an EventSource. */
  std::string ticket(const Tickets &tickets, const Access &access) const {
    const Undecided decided = undecided();
    access.decide(decided.get());
    evs_text *made = nullptr;
    detail::call(evs_hub_ticket, raw_.get(), tickets.raw(), static_cast<const evs_access *>(decided.get()), &made);
    return detail::text(made);
  }

  /** Answers a request that needs no word from the application, or makes known what it asks for. */
  std::optional<Reply> screen(Request &request) const {
    evs_reply *made = nullptr;
    detail::call(evs_hub_screen, raw_.get(), request.owned(), &made);
    if (made == nullptr) return std::nullopt;
    return Reply(made);
  }
  std::optional<Reply> screen(Request &&request) const { return screen(request); }

  /** Has the system give up a client of yours that has vanished or takes nothing. */
  void tune(int fd) const { detail::call(evs_hub_tune_fd, raw_.get(), fd); }

  /** Reads channels from now on. */
  Subscription subscribe(const std::vector<std::string> &channels) const {
    const auto views = detail::views(channels);
    evs_subscription *made = nullptr;
    detail::call(evs_hub_subscribe, raw_.get(), views.data(), views.size(), &made);
    return Subscription(made);
  }

  /** Reads channels from now on, and calls `on_message(const Message &)` on a thread of its own. */
  template <class Callable>
  Subscription subscribe(const std::vector<std::string> &channels, Callable &&on_message) const {
    using Type = std::decay_t<Callable>;
    const auto views = detail::views(channels);
    evs_message_fn function = [](void *user_data, const evs_message *message) noexcept {
      detail::taken<Type>(user_data)(Message(*message));
    };
    evs_free_fn free = detail::destroy<Type>;
    evs_subscription *made = nullptr;
    detail::call(evs_hub_subscribe_callback, raw_.get(), views.data(), views.size(), function,
                 detail::give(std::forward<Callable>(on_message)), free, &made);
    return Subscription(made);
  }

  /** Has an observer told from now on. There can be one. */
  void observe(std::unique_ptr<Observer> observer) const {
    using Owned = std::unique_ptr<Observer>;
    evs_observer functions = EVS_OBSERVER_INIT;
    functions.stream_opened = [](void *user_data, const evs_stream_info *stream) noexcept {
      detail::taken<Owned>(user_data)->stream_opened(StreamInfo(*stream));
    };
    functions.stream_closed = [](void *user_data, const evs_stream_info *stream, std::uint32_t reason) noexcept {
      detail::taken<Owned>(user_data)->stream_closed(StreamInfo(*stream), reason);
    };
    functions.publish_failed = [](void *user_data, const evs_publish_failure *failure) noexcept {
      detail::taken<Owned>(user_data)->publish_failed(PublishFailure(*failure));
    };
    evs_free_fn free = detail::destroy<Owned>;
    detail::call(evs_hub_observe, raw_.get(), static_cast<const evs_observer *>(&functions),
                 detail::give(std::move(observer)), free);
  }

  /** The place of the newest event that was published, to resume from; take it before you read the data you show. */
  std::string position() const {
    char text[EVS_POSITION_BYTES];
    detail::call(evs_hub_position, raw_.get(), &text);
    return text;
  }

  /** Has clients come back, and be decided on anew; nothing is lost. Throws with EVS_STATUS_INVALID_ARGUMENT when nobody is named. */
  void reopen(const Who &who) const {
    evs_who raw = who.raw();
    detail::call(evs_hub_reopen, raw_.get(), static_cast<const evs_who *>(&raw));
  }

  /** Ends streams whose clients are not to come back, and are told `text`. */
  void disconnect(const Who &who, std::string_view text) const {
    evs_who raw = who.raw();
    detail::call(evs_hub_disconnect, raw_.get(), static_cast<const evs_who *>(&raw), text.data(), text.size());
  }

  /** The streams of this process that are meant, from the oldest to the newest. Not for an Observer. */
  std::vector<OpenStream> streams(const Who &who) const {
    std::vector<OpenStream> found;
    evs_who raw = who.raw();
    evs_stream_fn show = [](void *to, const evs_stream_info *stream) noexcept {
      static_cast<std::vector<OpenStream> *>(to)->emplace_back(StreamInfo(*stream));
    };
    detail::call(evs_hub_streams, raw_.get(), static_cast<const evs_who *>(&raw), show, &found);
    return found;
  }

  /** The users who have streams of a channel open in this process, each once. Not for an Observer. */
  std::vector<std::string> users(std::string_view channel) const {
    std::vector<std::string> found;
    evs_user_fn show = [](void *to, evs_str user) noexcept {
      static_cast<std::vector<std::string> *>(to)->emplace_back(detail::text(user));
    };
    detail::call(evs_hub_users, raw_.get(), channel.data(), channel.size(), show, &found);
    return found;
  }

  evs_stats stats() const {
    evs_stats stats = EVS_STATS_INIT;
    detail::call(evs_hub_stats, raw_.get(), &stats);
    return stats;
  }

  /** Metrics for Prometheus: in OpenMetrics 1.0, or else in the older format 0.0.4. */
  std::string metrics(bool openmetrics = false) const {
    evs_text *made = nullptr;
    detail::call(evs_hub_metrics, raw_.get(), openmetrics, &made);
    return detail::text(made);
  }

  /** Whether the process can serve, and what is wrong. */
  Health health() const {
    Health health;
    evs_text *made = nullptr;
    detail::call(evs_hub_health, raw_.get(), &health.ready, &health.live, &made);
    health.json = detail::text(made);
    return health;
  }

  /** A server, which does not listen yet. */
  Server server() const {
    evs_server *made = nullptr;
    detail::call(evs_server_new, raw_.get(), &made);
    return Server(made);
  }

  /** Ends everything; gives back how many events a GRIP proxy did not get. Throws Error with EVS_STATUS_TIMEOUT when a callback
   *  was still running. */
  std::uint64_t close(Milliseconds timeout) const {
    std::uint64_t undelivered = 0;
    detail::call(evs_hub_close, raw_.get(), detail::count(timeout), &undelivered);
    return undelivered;
  }

  evs_hub *raw() const noexcept { return raw_.get(); }

 private:
  explicit Events(const evs_config *config) {
    detail::call(evs_check_abi, static_cast<std::uint32_t>(EVS_ABI_VERSION));
    evs_hub *made = nullptr;
    detail::call(evs_hub_new, config, &made);
    raw_.reset(made);
  }

  using Undecided = detail::Handle<evs_access, evs_access_free>;

  static Undecided undecided() {
    evs_access *made = nullptr;
    detail::call(evs_access_new, &made);
    return Undecided(made);
  }

  Reply open(const Request &request, const evs_access *decided) const {
    evs_reply *made = nullptr;
    detail::call(evs_hub_open, raw_.get(), request.raw(), decided, &made);
    return Reply(made);
  }

  detail::Handle<evs_hub, evs_hub_free> raw_;
};

/** Sends the log of the process to `log(evs_log_level, std::string_view target, std::string_view message)`. */
template <class Callable>
void set_log(evs_log_level level, Callable &&log) {
  using Type = std::decay_t<Callable>;
  evs_log_fn function = [](void *user_data, std::uint32_t of, evs_str target, evs_str message) noexcept {
    detail::taken<Type>(user_data)(static_cast<evs_log_level>(of), detail::text(target), detail::text(message));
  };
  evs_free_fn free = detail::destroy<Type>;
  detail::call(evs_log_set, static_cast<std::uint32_t>(level), function, detail::give(std::forward<Callable>(log)), free);
}

/** Logs nothing any more. */
inline void unset_log() {
  detail::call(evs_log_set, static_cast<std::uint32_t>(EVS_LOG_LEVEL_OFF), evs_log_fn(nullptr), static_cast<void *>(nullptr),
               evs_free_fn(nullptr));
}

}  // namespace evstream

#endif
