#include "engine/step_costs.h"

#include <algorithm>
#include <cmath>

namespace mixtral {
namespace {

constexpr uint64_t kMemorySteps = 512;
// One row more, as a part of a step of few rows, and of what a row of many rows takes.
constexpr double kGuessedRow = 0.08, kGuessedShare = 0.25;
// How fast the cost that was seen moves, and all others with it: deeper caches and a busier machine
// make every step slower.
constexpr double kOwnWeight = 0.2, kOtherWeight = 0.05;

}  // namespace

bool StepCosts::is_known(size_t n_rows) const {
  const Cost& cost = costs_[n_rows];
  return cost.step > 0 && cost.step + kMemorySteps > n_steps_;
}

void StepCosts::add(size_t n_rows, double seconds) {
  if (n_rows == 0 || n_rows >= costs_.size() || !(seconds > 0)) return;
  Cost& own = costs_[n_rows];
  n_steps_ += 1;
  if (is_known(n_rows)) {
    const double change = std::clamp(seconds / own.seconds, 0.5, 2.0);  // one outlier is no news
    const double of_own = std::pow(change, kOwnWeight), of_others = std::pow(change, kOtherWeight);
    for (Cost& cost : costs_) cost.seconds *= &cost == &own ? of_own : of_others;
  } else {
    own.seconds = seconds;
  }
  own.step = n_steps_;
}

double StepCosts::of(size_t n_rows) const {
  if (n_rows < costs_.size() && is_known(n_rows)) return costs_[n_rows].seconds;
  size_t below = std::min(n_rows, costs_.size()) - 1, above = n_rows + 1;
  while (below > 0 && !is_known(below)) --below;
  while (above < costs_.size() && !is_known(above)) ++above;
  const bool has_above = above < costs_.size();
  if (below == 0 && !has_above) return 1 + kGuessedRow * static_cast<double>(n_rows);
  if (below == 0) return costs_[above].seconds;
  const double low = costs_[below].seconds, n_more = static_cast<double>(n_rows - below);
  const double row = std::min(kGuessedRow, kGuessedShare / static_cast<double>(below));
  const double guess = low * (1 + row * n_more);
  if (!has_above) return guess;
  const double slope = (costs_[above].seconds - low) / static_cast<double>(above - below);
  return std::min(guess, low + slope * n_more);
}

}  // namespace mixtral
