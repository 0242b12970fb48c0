#include "engine/sequence.h"

#include <utility>

#include "engine/answer_writer.h"
#include "engine/running_request.h"

namespace mixtral {

Sequence::Sequence(KvSequence pages) : kv(std::move(pages)) {}
Sequence::~Sequence() = default;

}  // namespace mixtral
