// The clock demo in C++: a page, a stream at /events/, and a form that publishes messages, all by evstream's own server.
//
// PORT chooses the port (default 8000, 0 takes a free one). GRIP_URL names a GRIP proxy in front, if there is one. It needs
// nlohmann-json for the JSON that is posted.
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <evstream.hpp>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

// Where the page is; the Makefile says it.
#ifndef PAGE
#define PAGE "../page"
#endif

namespace {

using evstream::Response;
using nlohmann::json;

// The files of the page, by their paths.
std::map<std::string, Response, std::less<>> page() {
  std::map<std::string, Response, std::less<>> files;
  const auto add = [&](const std::string &path, const std::string &name, const std::string &type) {
    std::ifstream file(PAGE "/" + name, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " PAGE "/" + name);
    Response response(200, type + "; charset=utf-8", {std::istreambuf_iterator<char>(file), {}});
    response.headers.emplace_back("Cache-Control", "no-cache");
    files.emplace(path, std::move(response));
  };
  add("/", "index.html", "text/html");
  add("/style.css", "style.css", "text/css");
  for (const std::string name : {"app.js", "log.js", "stream.js"}) add("/" + name, name, "text/javascript");
  return files;
}

Response in_json(unsigned status, const json &body) { return {status, "application/json", body.dump()}; }

// Publishes what was posted.
Response publish_message(const evstream::Events &events, std::string_view body) {
  const auto posted = json::parse(body, nullptr, false);
  const auto text = posted.is_object() ? posted.find("text") : posted.end();
  if (text == posted.end() || !text->is_string() || text->get_ref<const std::string &>().empty()) {
    return in_json(400, {{"error", "a message is a JSON object with a \"text\" that is not empty"}});
  }
  try {
    const auto receipt = events.publish("messages", evstream::Event(json{{"text", *text}}.dump()).name("message"));
    return in_json(200, {{"id", receipt.position}});
  } catch (const evstream::Error &error) {
    return in_json(400, {{"error", error.what()}});
  }
}

// The time as RFC 3339 has it.
std::string now() {
  std::timespec time{};
  std::timespec_get(&time, TIME_UTC);
  char second[32], text[64];
  std::tm utc{};
  gmtime_r(&time.tv_sec, &utc);
  std::strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text, sizeof text, "%s.%03ldZ", second, time.tv_nsec / 1'000'000);
  return text;
}

void run(const sigset_t &stop) {
  evstream::Events events(evstream::Config().grip_from_env());
  auto server = events.server();
  server.mount("/events/");  // the stream itself: clients choose the channels with ?channel=
  server.fallback([&events, files = page()](const evstream::RequestView &request) {
    if (request.method() == "POST" && request.path() == "/messages/") return publish_message(events, request.body());
    const auto file = files.find(request.path());
    if (request.method() == "GET" && file != files.end()) return file->second;
    return Response(404, "text/plain", "not found\n");
  });
  const char *port = std::getenv("PORT");
  server.listen("127.0.0.1:" + std::string(port != nullptr ? port : "8000"));
  std::cout << "Listening on http://" << server.address() << "/\n"
            << "Try: curl -N 'http://" << server.address() << "/events/?channel=clock'" << std::endl;

  const std::timespec second{1, 0};
  do {
    events.publish("clock", evstream::Event(json{{"time", now()}}.dump()).name("time"));
  } while (sigtimedwait(&stop, nullptr, &second) < 0);
  events.close(std::chrono::seconds(2));  // clients are asked to come back
}

}  // namespace

int main() {
  // Before there are other threads, so that none of them is interrupted instead.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  try {
    run(stop);
  } catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
