#include "routing_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "terminal.h"

namespace mixtral {
namespace {

constexpr std::array<int, 12> kColours = {31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96};
constexpr size_t kBarColumns = 40;

std::string coloured(std::string_view text, int32_t expert) {
  if (!has_colour(stdout)) return std::string(text);
  const int colour = kColours[static_cast<size_t>(expert) % kColours.size()];
  return fmt::format("\033[{}m{}\033[0m", colour, text);
}

std::string load_table(const std::vector<size_t>& counts, size_t n_tokens) {
  std::string out = "\nexpert  tokens\n";
  for (size_t expert = 0; expert < counts.size(); ++expert) {
    const double share =
        n_tokens == 0 ? 0 : static_cast<double>(counts[expert]) / static_cast<double>(n_tokens);
    const std::string bar(static_cast<size_t>(std::lround(share * kBarColumns)), '#');
    out += fmt::format("{:>6}{:>8}{:>7.1f} %  {}\n", expert, counts[expert], 100 * share,
                       coloured(bar, static_cast<int32_t>(expert)));
  }
  return out;
}

}  // namespace

std::string routing_text(const std::vector<TokenRouting>& routing,
                         const std::vector<int32_t>& token_ids, size_t layer,
                         const Tokenizer& tokenizer, const ModelConfig& config) {
  const size_t n_chosen = config.n_experts_per_token;
  const size_t columns = terminal_columns(stdout);
  std::vector<size_t> counts(config.n_experts, 0);
  std::string out;
  size_t column = 0, n_tokens = 0;
  for (size_t i = 0; i < token_ids.size(); ++i) {
    const std::string text = printable(tokenizer.token_bytes(token_ids[i]));
    // The token that an answer ends with was chosen, but no expert has read it.
    const bool read = i < routing.size();
    const auto experts = read ? std::span(routing[i].expert_ids).subspan(layer * n_chosen, n_chosen)
                              : std::span<const int32_t>();
    for (const int32_t expert : experts) counts[static_cast<size_t>(expert)] += 1;
    n_tokens += read ? 1 : 0;
    const std::string mark = read ? fmt::format("[{}]", fmt::join(experts, " ")) : "[-]";
    const size_t width = display_columns(text) + mark.size();
    if (column > 0 && column + width > columns) {
      out += '\n';
      column = 0;
    }
    column += width;
    out += (read ? coloured(text, experts[0]) : text) + dim(mark, stdout);
  }
  return out + '\n' + load_table(counts, n_tokens);
}

}  // namespace mixtral
