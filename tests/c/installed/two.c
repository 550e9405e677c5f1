/* A program with two static libraries that are written in Rust. */
#include <evstream.h>
#include <stdio.h>

int other_answer(void);

int main(void) {
  evs_hub *hub = NULL;
  evs_server *server = NULL;
  evs_subscription *subscription = NULL;
  evs_str channel = evs_str_z("a");
  evs_event event = EVS_EVENT_INIT;
  evs_message message = EVS_MESSAGE_INIT;
  if (evs_hub_new(NULL, &hub, NULL) != EVS_STATUS_OK) return 1;
  if (evs_server_new(hub, &server, NULL) != EVS_STATUS_OK) return 1;
  if (evs_server_listen(server, EVS_LITERAL("127.0.0.1:0"), NULL) != EVS_STATUS_OK) return 1;
  if (evs_hub_subscribe(hub, &channel, 1, &subscription, NULL) != EVS_STATUS_OK) return 1;
  if (evs_hub_publish(hub, "a", EVS_ZSTR, &event, NULL, NULL) != EVS_STATUS_OK) return 1;
  if (evs_subscription_next(subscription, 60000, &message, NULL) != EVS_STATUS_OK) return 1;
  if (other_answer() != 10) return 1;
  if (evs_hub_close(hub, 60000, NULL, NULL) != EVS_STATUS_OK) return 1;
  evs_subscription_free(subscription);
  evs_server_free(server);
  evs_hub_free(hub);
  puts("two: it works");
  return 0;
}
