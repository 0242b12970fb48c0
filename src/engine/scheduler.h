// Which rows go into the next step. Pure bookkeeping: knows tokens and pages, but no model.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace mixtral {

struct SchedulerLimits {
  size_t max_sequences = 1;           ///< that run at once
  size_t max_rows = 256;              ///< of one step; max_sequences and shared or draft rows fit
  size_t max_shared_rows = 32;        ///< rows of prompts in a step in which others stream
  size_t max_prompt_logit_rows = 32;  ///< of one step
  size_t max_draft_rows = 0;          ///< of one step, besides a row of each stream
  size_t max_sequence_pages = 1;      ///< that the longest sequence holds at once
};

/// The last `n_rows` positions of a sequence's cache are this step's; the last `n_logit_rows` of
/// these rows want logits.
struct ScheduledRows {
  Sequence* sequence;
  size_t n_rows, n_logit_rows;
};

/// Every step begins with the rows of all sequences that stream, so that long prompts do not stall
/// them, drafts included as long as there are pages for them; prompts get what is left of the rows.
/// Who waits is let in by priority, then the client that got the fewest rows, then by arrival; so
/// do prompts take turns. When pages run out, unused ones of the prefix cache go first; then the
/// youngest of the lowest priority loses its pages, waits, and is read again later. The oldest
/// sequence of the highest priority always gets on, if the pool holds one whole sequence and one
/// page more. Not thread-safe.
class Scheduler {
 public:
  /// `pool` and `cache` must outlive this.
  Scheduler(const SchedulerLimits& limits, KvPool& pool, PrefixCache& cache)
      : limits_(limits), pool_(pool), cache_(cache) {}

  /// It waits. n_answers must not exceed max_sequences, nor its tokens the context.
  void add(std::unique_ptr<Sequence> sequence);
  /// Once `parent` has read its prompt: `child` runs too and shares its pages. Takes one of
  /// parent's n_answers.
  void fork(Sequence& parent, std::unique_ptr<Sequence> child);
  /// Takes a sequence out, waiting or running. Its pages go to the prefix cache if they are `good`;
  /// else what the cache has of it is dropped too.
  std::unique_ptr<Sequence> remove(Sequence& sequence, bool good);

  /// The next step. Empty only if nothing waits or runs. step_done() must follow once it was
  /// computed; sequences may be removed, added and forked then.
  std::span<const ScheduledRows> plan_step();
  void step_done();

  /// Frees pages of the prefix cache, as far as it takes, for `count` more positions of `kv`; false
  /// if that is not enough.
  bool make_room(KvSequence& kv, size_t count);

  size_t n_running() const { return running_.size(); }
  size_t n_waiting() const { return waiting_.size(); }
  bool empty() const { return running_.empty() && waiting_.empty(); }
  uint64_t n_preemptions() const { return n_preemptions_; }
  /// Those that run, oldest of the highest priority first.
  std::span<const std::unique_ptr<Sequence>> running() const { return running_; }
  std::span<const std::unique_ptr<Sequence>> waiting() const { return waiting_; }

 private:
  struct Client {
    uint64_t n_rows = 0;  // that it got
    size_t n_sequences = 0;
  };
  using Sequences = std::vector<std::unique_ptr<Sequence>>;
  Client& client_of(const Sequence& sequence) { return clients_.find(sequence.client)->second; }
  bool goes_before(const Sequence& a, const Sequence& b);
  void join_client(const Sequence& sequence);
  void leave_client(const Sequence& sequence);
  void insert_running(std::unique_ptr<Sequence> sequence);
  void admit();
  bool fits(const Sequence& sequence);
  size_t pages_to_read(const Sequence& sequence) const;
  void plan_streams();
  void plan_reading();
  size_t rows_for_readers() const;
  size_t plan_chunk(Sequence& sequence, size_t max_rows, size_t max_logit_rows);
  void reuse_pages(Sequence& sequence);
  bool others_read_on(const Sequence& sequence, size_t n_tokens) const;
  void plan(Sequence& sequence, size_t n_rows, size_t n_logit_rows);
  bool preempt_after(const Sequence& sequence);
  void preempt_last();

  const SchedulerLimits limits_;
  KvPool& pool_;
  PrefixCache& cache_;
  Sequences running_, waiting_;
  size_t n_slots_used_ = 0;  // answers that run or will, once their prompt is read
  std::map<std::string, Client> clients_;
  std::vector<ScheduledRows> plan_;
  std::vector<Sequence*> readers_;
  uint64_t n_preemptions_ = 0;
};

}  // namespace mixtral
