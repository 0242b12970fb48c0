#include "support/heard.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace mixtral::testing {

HeardAll listen(Stream& stream, size_t n_answers) {
  HeardAll all;
  all.answers.resize(n_answers);
  while (auto event = stream.next()) {
    if (auto* read = std::get_if<PromptRead>(&*event)) {
      all.prompt = std::move(*read);
    } else if (auto* token = std::get_if<AnswerToken>(&*event)) {
      Heard& heard = all.answers.at(token->answer);
      EXPECT_FALSE(heard.end);
      heard.ids.push_back(token->token.id);
      heard.logprobs.push_back(token->token.logprob);
      for (const TokenLogprob& top : token->token.top) heard.logprobs.push_back(top.logprob);
      heard.text += token->text;
      heard.steps.push_back(token->step);
      if (token->routing) heard.routing.push_back(*std::move(token->routing));
    } else {
      auto& end = std::get<AnswerEnd>(*event);
      Heard& heard = all.answers.at(end.answer);
      EXPECT_FALSE(heard.end);
      heard.text += end.text;
      heard.end = std::move(end);
    }
  }
  EXPECT_TRUE(stream.done());
  return all;
}

Stream submit(Engine& engine, Request request) {
  auto stream = engine.submit(std::move(request));
  EXPECT_TRUE(stream) << stream.error().message;
  return *std::move(stream);
}

HeardAll ask(Engine& engine, Request request) {
  return std::move(ask_all(engine, {std::move(request)})[0]);
}

std::vector<HeardAll> ask_all(Engine& engine, const std::vector<Request>& requests) {
  std::vector<Stream> streams;
  for (const Request& request : requests) streams.push_back(submit(engine, request));
  std::vector<HeardAll> all;
  for (size_t i = 0; i < requests.size(); ++i)
    all.push_back(listen(streams[i], requests[i].n_answers));
  return all;
}

void expect_same(const Heard& found, const Heard& expected) {
  EXPECT_EQ(found.ids, expected.ids);
  EXPECT_EQ(found.logprobs, expected.logprobs);
}

void expect_same(const std::vector<HeardAll>& found, const std::vector<HeardAll>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    SCOPED_TRACE(fmt::format("request {}", i));
    ASSERT_EQ(found[i].answers.size(), expected[i].answers.size());
    for (size_t k = 0; k < found[i].answers.size(); ++k)
      expect_same(found[i].answers[k], expected[i].answers[k]);
  }
}

}  // namespace mixtral::testing
