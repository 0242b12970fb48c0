// Speculative decoding: which guesses go into the next step, so that it brings the most tokens a
// second. Leviathan, Kalman and Matias 2023, arXiv:2211.17192, section 3, with guesses that are
// certain of themselves and a target that draws as it always does.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "engine/draft_model.h"
#include "engine/drafter.h"
#include "engine/sequence.h"
#include "engine/step_costs.h"

namespace mixtral {

/// How often guesses come true, by the evidence for them. A guess that came true is evidence for
/// the next one.
class Acceptance {
 public:
  /// Guesses without evidence are a model's: their chance begins with what it was in other
  /// sequences, and tells the next ones. `of_model` must outlive this.
  explicit Acceptance(double& of_model);
  double chance(size_t evidence) const { return chances_[index(evidence)]; }
  void observe(size_t evidence, bool came_true);

 private:
  static size_t index(size_t evidence) { return evidence < kMaxEvidence ? evidence : kMaxEvidence; }
  double& of_model_;
  std::array<double, kMaxEvidence + 1> chances_;
};

/// What speculation keeps about one sequence.
struct SequenceDrafts {
  explicit SequenceDrafts(double& chance_of_model) : acceptance(chance_of_model) {}
  /// Compares the next token of the answer with what was guessed.
  void observe(int32_t id);

  std::unique_ptr<Drafter> drafter;
  Acceptance acceptance;
  std::vector<int32_t> guesses;  ///< for what comes now; more than the step has rows for
  size_t n_seen = 0;             ///< of these, that were compared and came true

  DraftOffer offer;
  size_t n_chosen = 0;
};

/// Gives out at most so many guesses in a step, and only while they are expected to pay. Only the
/// engine's thread uses it.
class Speculator {
 public:
  /// Guesses come from `model`, or without one from the text itself.
  Speculator(std::unique_ptr<DraftModel> model, size_t max_sequences, size_t max_draft_rows);

  /// Appends guesses to the sequences. None in a step in which prompts are read, which have a
  /// better use for the rows.
  void add_drafts(std::span<const std::unique_ptr<Sequence>> running);
  /// A step of streams took `seconds` for `n_rows`.
  void observe_step(size_t n_rows, double seconds);

 private:
  struct Candidate {
    Sequence* sequence;
    double chance;   // that it and all before it come true
    double seconds;  // of drafting it
  };
  void look(Sequence& sequence);
  size_t count_paying(size_t n_streams) const;
  bool may_probe(const SequenceDrafts& drafts, size_t n_streams) const;
  void take(Sequence& sequence);

  std::unique_ptr<DraftModel> model_;
  const size_t max_draft_rows_;
  StepCosts costs_;
  std::vector<Candidate> candidates_;
  double chance_of_model_;
  double seconds_without_ = 0;  // of steps of streams since something was guessed
};

}  // namespace mixtral
