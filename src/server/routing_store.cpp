#include "server/routing_store.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace mixtral {
namespace {

size_t bytes_of(const std::vector<AnswerRouting>& answers) {
  size_t n_bytes = sizeof(AnswerRouting);
  for (const AnswerRouting& answer : answers) {
    for (const RoutedToken& token : answer.tokens) {
      n_bytes += sizeof(RoutedToken) + token.text.size() +
                 token.routing.expert_ids.size() * sizeof(int32_t) +
                 token.routing.probs.size() * sizeof(float);
    }
  }
  return n_bytes;
}

double rounded(float probability) { return std::round(double{probability} * 1e4) / 1e4; }

Json token_json(const RoutedToken& token, const RoutingShape& shape,
                const std::vector<size_t>& layers) {
  Json json = {{"token", token.text}, {"token_id", token.id}};
  const size_t k = shape.n_experts_per_token;
  if (token.routing.expert_ids.size() != shape.n_layers * k) {
    json["expert_ids"] = nullptr;
    json["probs"] = nullptr;
    return json;
  }
  Json ids = Json::array(), probs = Json::array();
  for (const size_t layer : layers) {
    Json layer_ids = Json::array(), layer_probs = Json::array();
    for (size_t i = layer * k; i < (layer + 1) * k; ++i) {
      layer_ids.push_back(token.routing.expert_ids[i]);
      layer_probs.push_back(rounded(token.routing.probs[i]));
    }
    ids.push_back(std::move(layer_ids));
    probs.push_back(std::move(layer_probs));
  }
  json["expert_ids"] = std::move(ids);
  json["probs"] = std::move(probs);
  return json;
}

}  // namespace

Json routing_json(const std::vector<AnswerRouting>& answers, const RoutingShape& shape,
                  const std::vector<size_t>& layers) {
  std::vector<size_t> shown = layers;
  if (shown.empty()) {
    shown.resize(shape.n_layers);
    std::iota(shown.begin(), shown.end(), size_t{0});
  }
  Json choices = Json::array();
  for (const AnswerRouting& answer : answers) {
    Json tokens = Json::array();
    for (const RoutedToken& token : answer.tokens)
      tokens.push_back(token_json(token, shape, shown));
    choices.push_back({{"index", answer.choice}, {"tokens", std::move(tokens)}});
  }
  return {{"object", "routing"},
          {"n_layers", shape.n_layers},
          {"n_experts", shape.n_experts},
          {"n_experts_per_token", shape.n_experts_per_token},
          {"layers", shown},
          {"choices", std::move(choices)}};
}

void RoutingStore::add(std::string id, std::vector<AnswerRouting> answers) {
  const size_t n_bytes = bytes_of(answers);
  if (n_bytes > limit_bytes_) return;
  const std::lock_guard lock(mutex_);
  n_bytes_ += n_bytes;
  entries_.push_back({std::move(id),
                      std::make_shared<const std::vector<AnswerRouting>>(std::move(answers)),
                      n_bytes});
  while (n_bytes_ > limit_bytes_) {
    n_bytes_ -= entries_.front().n_bytes;
    entries_.pop_front();
  }
}

std::shared_ptr<const std::vector<AnswerRouting>> RoutingStore::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                  [&](const Entry& entry) { return entry.id == id; });
  return found == entries_.rend() ? nullptr : found->answers;
}

}  // namespace mixtral
