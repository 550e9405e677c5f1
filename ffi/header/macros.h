/**
 * A literal as the two arguments for a text: its address and its length in bytes.
 */
#define EVS_LITERAL(literal) ("" literal), (sizeof("" literal) - 1)

