
/** A literal as the two arguments for a text: its address and its length in bytes. */
#define EVS_LITERAL(literal) ("" literal), (sizeof("" literal) - 1)

/** As the length of a text that you pass: it ends at its NUL. */
#define EVS_ZSTR SIZE_MAX

/** A view of a text that is ended by NUL, which must live as long as the view is used. NULL is an empty text. */
static inline evs_str evs_str_z(const char *text) {
  evs_str view = {text, text != NULL ? strlen(text) : 0};
  return view;
}
