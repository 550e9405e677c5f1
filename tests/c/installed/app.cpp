/* A program somewhere else, which finds evstream by its package. */
#include <evstream.hpp>
#include <iostream>

int main() {
  evstream::Events events;
  auto subscription = events.subscribe({"a"});
  events.publish("a", evstream::Event("it works"));
  std::cout << evs_version() << ": " << subscription.next(std::chrono::seconds(10))->data << "\n";
  events.close(std::chrono::seconds(10));
  return 0;
}
