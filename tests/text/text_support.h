// What the tests of text/ share: golden lines, and Mixtral's vocabulary in each of its three forms.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "support/golden.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_formats.h"

namespace mixtral::testing {

using Ids = std::vector<int32_t>;

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The objects of a .jsonl file.
inline std::vector<nlohmann::json> read_lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// The tokenizer, or a failed test and nullptr.
inline std::unique_ptr<Tokenizer> checked(Result<std::unique_ptr<Tokenizer>> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    return nullptr;
  }
  return *std::move(result);
}

/// GGUF keys that hold the vocabulary of a tokenizer.model.
inline GgufMetadata gguf_of(const SentencePieceModel& model) {
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  for (const Piece& piece : model.pieces) {
    tokens.push_back(piece.text);
    types.push_back(static_cast<int64_t>(piece.type));
  }
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", std::string("llama"));
  metadata.set("tokenizer.ggml.tokens", tokens);
  metadata.set("tokenizer.ggml.token_type", types);
  metadata.set("tokenizer.ggml.scores",
               std::vector<double>(model.scores.begin(), model.scores.end()));
  metadata.set("tokenizer.ggml.bos_token_id", uint64_t{1});
  metadata.set("tokenizer.ggml.eos_token_id", uint64_t{2});
  metadata.set("tokenizer.ggml.unknown_token_id", uint64_t{0});
  metadata.set("tokenizer.chat_template", std::string("{{ '[INST] ' }}"));
  return metadata;
}

/// A tokenizer.json with the same vocabulary: a merge for every way to make a piece of two, best
/// score first; as strings "a b" with Prepend and Replace, as older files have it, or as pairs with
/// Metaspace.
inline nlohmann::json json_of(const SentencePieceModel& model, bool newer) {
  nlohmann::json vocab, added, merges = nlohmann::json::array();
  std::map<std::string, size_t> normal;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const Piece& piece = model.pieces[i];
    vocab[piece.text] = i;
    if (piece.type == PieceType::kNormal) normal[piece.text] = i;
    if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown)
      added.push_back({{"id", i}, {"content", piece.text}, {"special", true}});
  }
  std::vector<std::tuple<float, size_t, size_t>> order;  // -score, left, right
  for (const auto& [text, id] : normal) {
    for (size_t at = 1; at < text.size(); ++at) {
      const auto left = normal.find(text.substr(0, at));
      const auto right = normal.find(text.substr(at));
      if (left != normal.end() && right != normal.end())
        order.emplace_back(-model.scores[id], left->second, right->second);
    }
  }
  std::sort(order.begin(), order.end());
  for (const auto& [score, left_id, right_id] : order) {
    const std::string& left = model.pieces[left_id].text;
    const std::string& right = model.pieces[right_id].text;
    merges.push_back(newer ? nlohmann::json::array({left, right})
                           : nlohmann::json(left + " " + right));
  }
  const std::string mark(kSpaceMark);
  nlohmann::json root = {{"added_tokens", added},
                         {"model",
                          {{"type", "BPE"},
                           {"unk_token", "<unk>"},
                           {"byte_fallback", true},
                           {"fuse_unk", true},
                           {"vocab", vocab},
                           {"merges", merges}}}};
  if (newer) {
    root["pre_tokenizer"] = {{"type", "Metaspace"},
                             {"replacement", mark},
                             {"prepend_scheme", "first"},
                             {"split", false}};
  } else {
    root["normalizer"] = {
        {"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", mark}},
          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", mark}}}}};
  }
  return root;
}

}  // namespace mixtral::testing
