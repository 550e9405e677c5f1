/* A program somewhere else, which finds evstream by its package. */
#include <evstream.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  evs_error *error = NULL;
  evs_hub *hub = NULL;
  evs_subscription *subscription = NULL;
  evs_event event = EVS_EVENT_INIT;
  evs_message message = EVS_MESSAGE_INIT;
  evs_str channel = evs_str_z("a");
  event.data = evs_str_z("it works");
  evs_status status = evs_check_abi(EVS_ABI_VERSION, &error);
  if (status == EVS_STATUS_OK) status = evs_hub_new(NULL, &hub, &error);
  if (status == EVS_STATUS_OK) status = evs_hub_subscribe(hub, &channel, 1, &subscription, &error);
  if (status == EVS_STATUS_OK) status = evs_hub_publish(hub, channel.ptr, channel.len, &event, NULL, &error);
  if (status == EVS_STATUS_OK) status = evs_subscription_next(subscription, 10000, &message, &error);
  if (status == EVS_STATUS_OK) printf("%s: %.*s\n", evs_version(), (int)message.data.len, message.data.ptr);
  if (status != EVS_STATUS_OK) fprintf(stderr, "%s\n", evs_error_message(error));
  evs_error_free(error);
  evs_subscription_free(subscription);
  evs_hub_close(hub, 10000, NULL, NULL);
  evs_hub_free(hub);
  return status == EVS_STATUS_OK && strcmp(evs_version(), EVS_VERSION) == 0 ? 0 : 1;
}
