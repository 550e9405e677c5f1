/* A plugin with evstream in it. */
#include <evstream.h>

__attribute__((visibility("default"))) const char *plugin_version(void) {
  return evs_version();
}
