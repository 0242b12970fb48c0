#include "engine/sequence.h"

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "engine/answer_writer.h"
#include "engine/running_request.h"
#include "engine/speculator.h"

namespace mixtral {

Sequence::Sequence(KvSequence pages) : kv(std::move(pages)) {}
Sequence::~Sequence() = default;

bool Sequence::add_token(int32_t id) {
  if (n_drafts > 0 && ids[ids.size() - n_drafts] == id) {
    n_drafts -= 1;
    return true;
  }
  drop_drafts();
  ids.push_back(id);
  return false;
}

// A window has not moved past anything since the step was planned, so the rest is all there.
void Sequence::drop_drafts() {
  if (n_drafts == 0) return;
  ids.resize(ids.size() - n_drafts);
  n_drafts = 0;
  const size_t n_good = std::min(kv.n_tokens(), ids.size());
  MIXTRAL_CHECK(kv.truncate(n_good) == n_good, "a step gave up pages that it looks at");
}

}  // namespace mixtral
