// What an answer must look like: response_format and its relatives, as a grammar.
#pragma once

#include "engine/request.h"
#include "server/fields.h"

namespace mixtral {

/// Sets the request's grammar if the fields ask for one; what is wrong is noted in `fields`.
void read_response_grammar(Fields& fields, Request& request);

}  // namespace mixtral
