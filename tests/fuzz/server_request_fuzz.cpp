// Any bytes as the body of a request to every endpoint: an answer with a status that is no 500.
#include <cstddef>
#include <cstdint>

#include "server/api.h"
#include "support/fake_model.h"

namespace {

class OneAnswer : public mixtral::Exchange {
 public:
  void send(mixtral::HttpResponse response) override {
    if (answered_ || response.status >= 500) __builtin_trap();
    answered_ = true;
  }
  void begin_stream(mixtral::HttpResponse, std::string_view) override { __builtin_trap(); }
  void write(std::string_view) override { __builtin_trap(); }
  void end_stream() override { __builtin_trap(); }
  void on_closed(std::function<void()>) override {}
  void post(std::function<void()> task) override { task(); }
  bool answered() const { return answered_; }

 private:
  bool answered_ = false;
};

constexpr const char* kPaths[] = {"/v1/chat/completions",
                                  "/v1/completions",
                                  "/v1/embeddings",
                                  "/v1/fim/completions",
                                  "/tokenize",
                                  "/detokenize",
                                  "/apply-template",
                                  "/v1/chat/completions/input_tokens"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const mixtral::testing::ByteTokenizer tokenizer;
  static mixtral::Api api(
      [] {
        mixtral::ServedModel model = mixtral::testing::fake_model(tokenizer);
        model.submit = [](mixtral::Request) -> mixtral::Result<mixtral::Stream> {
          return mixtral::fail(mixtral::ErrorCode::kBusy, "busy");
        };
        return model;
      }(),
      {});
  for (const char* path : kPaths) {
    mixtral::HttpRequest request;
    request.method = "POST";
    request.path = path;
    request.body.assign(reinterpret_cast<const char*>(data), size);
    const auto exchange = std::make_shared<OneAnswer>();
    api.handle(std::move(request), exchange);
    if (!exchange->answered()) __builtin_trap();
  }
  return 0;
}
