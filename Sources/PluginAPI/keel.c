/* A C target needs one source file; the contract is all in the header. */
#include "keel.h"
