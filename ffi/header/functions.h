/**
 * A view of a text that is ended by NUL, which must live as long as the view is used. NULL is an empty text.
 */
static inline evs_str evs_str_z(const char *text) {
  evs_str view = {text, text != NULL ? strlen(text) : 0};
  return view;
}

